"""Another server as the generator: anything that speaks OpenAI's API, in the place of a worker process.

``UpstreamClient`` offers what ``engines.client.WorkerClient`` does. There is no process between: waiting for
a socket is what the event loop is for (docs/decisions/0018-upstream.md).
"""

import contextlib
import logging
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable

from engines.base import EmbeddingRequest, EngineInfo, Failure, GenerationRequest, RequestEvent
from engines.client import WorkerNotReady, WorkerState
from engines.openai_upstream_faults import UpstreamFault
from engines.openai_upstream_http import UpstreamHttp, UpstreamSpec
from engines.openai_upstream_stream import DONE, AnswerReader, EventReader
from engines.openai_upstream_watch import UpstreamWatch
from engines.openai_upstream_wire import completion_body

_LOOK_AFTER = (Failure.ENGINE_RESTARTED, Failure.UNAVAILABLE, Failure.GENERATION_FAILED)

logger = logging.getLogger(__name__)


class UpstreamClient:
    """A supervised upstream, in the shape of a ``WorkerClient``. Use from one event loop.

    What the upstream does inside is its own: ``batch_sizes`` stays empty, ``kv_cache_usage`` unknown.
    """

    def __init__(self, spec: UpstreamSpec, *, on_fatal: Callable[[str], None] | None = None) -> None:
        self.batch_sizes: Counter[int] = Counter()
        self.kv_cache_usage: float | None = None
        self.in_flight = 0
        self._spec = spec
        self._http = UpstreamHttp(spec)
        self._watch = UpstreamWatch(spec, self._http, on_fatal)

    @property
    def state(self) -> WorkerState:
        """``ready`` while it answers, ``restarting`` once it is lost."""
        return self._watch.state

    @property
    def info(self) -> EngineInfo | None:
        """Its model, once it was found."""
        return self._watch.info

    @property
    def restarts(self) -> int:
        """How often it was lost."""
        return self._watch.restarts

    @property
    def last_error(self) -> str | None:
        """Why it is not ready."""
        return self._watch.last_error

    async def start(self) -> None:
        """Begin to look for the upstream and return; ``state`` becomes ready when it answers."""
        self._watch.start()

    async def stop(self) -> None:
        """Close every connection; requests under way fail."""
        await self._watch.stop()
        await self._http.close()

    async def wait_ready(self) -> None:
        """Raise ``WorkerNotReady`` at once while the upstream is away: nobody here can hurry it."""
        if self.state != "ready":
            raise WorkerNotReady(self.state, self.last_error)

    @contextlib.asynccontextmanager
    async def open(self, request: GenerationRequest | EmbeddingRequest) -> AsyncIterator[AsyncIterator[RequestEvent]]:
        """Ask the upstream and give what comes of it; leaving early closes the connection.

        Raises ``WorkerNotReady``. The events end with ``Finished`` or ``Failed``.
        """
        assert isinstance(request, GenerationRequest)
        await self.wait_ready()
        self.in_flight += 1
        try:
            async with contextlib.aclosing(self._events(request)) as events:
                yield events
        finally:
            self.in_flight -= 1

    async def _events(self, request: GenerationRequest) -> AsyncGenerator[RequestEvent, None]:
        try:
            async with contextlib.aclosing(self._ask(request)) as events:
                async for event in events:
                    yield event
        except UpstreamFault as fault:
            if fault.failure in _LOOK_AFTER:
                self._watch.look_now()
                logger.warning("the upstream did not answer a request: %s", fault)
            yield fault.event(request.id)

    async def _ask(self, request: GenerationRequest) -> AsyncGenerator[RequestEvent, None]:
        spec = self._spec
        if request.enable_thinking and not spec.template_arguments:
            raise UpstreamFault(Failure.UNSUPPORTED, "enable_thinking: this upstream cannot be told to think")
        assert self.info is not None
        body = completion_body(request, self.info.model, template_arguments=spec.template_arguments)
        async with self._http.stream("/chat/completions", body, request.trace_headers) as exchange:
            reader, answer = EventReader(request.sampling.max_new_tokens), AnswerReader(request)
            while (piece := await exchange.next_piece()) is not None:
                for data in reader.feed(piece):
                    if data == DONE:
                        await exchange.read_last_bytes()
                        yield answer.finish()
                        return
                    for event in answer.take(data):
                        yield event
            yield answer.finish()
