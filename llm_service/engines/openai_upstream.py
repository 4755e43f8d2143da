"""Another server as the generator: anything that speaks OpenAI's API, in the place of a worker process.

``UpstreamClient`` offers what ``engines.client.WorkerClient`` does. There is no process between: waiting for
a socket is what the event loop is for (docs/decisions/0018-upstream.md).
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

import httpx2
from pydantic import ValidationError

from engines.base import EmbeddingRequest, EngineInfo, Failure, GenerationRequest, RequestEvent
from engines.client import WorkerNotReady, WorkerState
from engines.openai_upstream_faults import UpstreamFault, from_answer, from_transport, malformed, no_api
from engines.openai_upstream_stream import DONE, AnswerReader, EventReader
from engines.openai_upstream_wire import ListedModel, ModelList, api_root, completion_body, engine_info

PROBE_EVERY_S, FIRST_PROBE_AGAIN_S, LAST_PROBE_AGAIN_S = 15.0, 0.25, 4.0
PROBE_TIMEOUT_S = 5.0
FAILED_PROBES = 2
"""So many in a row make the upstream count as lost."""
KEPT_IDLE_S = 4.0
"""Idle connections go before the five seconds after which uvicorn, and vLLM with it, closes them."""
LAST_BYTES_S = 0.25
LONGEST_ERROR, LONGEST_MODEL_LIST = 64 * 1024, 8 * 1024 * 1024

T = TypeVar("T")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UpstreamSpec:
    """Where the upstream is and what to ask it for. ``model``: its own name for the model, ``None`` for
    ``requested_model`` or else the only one that it has. ``ready_path``: what is asked whether it is ready,
    in place of its list of models. Times in seconds.
    """

    url: str
    requested_model: str
    model: str | None = None
    api_key: str | None = field(default=None, repr=False)
    ready_path: str | None = None
    template_arguments: bool = True
    max_connections: int = 16
    connect_timeout_s: float = 5.0
    stall_timeout_s: float = 60.0


class UpstreamClient:
    """A supervised upstream, in the shape of a ``WorkerClient``. Use from one event loop.

    ``restarts`` counts how often it was lost. What it does inside is its own: ``batch_sizes`` stays empty.
    """

    def __init__(self, spec: UpstreamSpec, *, on_fatal: Callable[[str], None] | None = None) -> None:
        self.state: WorkerState = "loading"
        self.info: EngineInfo | None = None
        self.restarts = 0
        self.batch_sizes: Counter[int] = Counter()
        self.kv_cache_usage: float | None = None
        self.last_error: str | None = None
        self.in_flight = 0
        self._spec = spec
        self._root = api_root(spec.url)
        self._on_fatal = on_fatal
        self._client: httpx2.AsyncClient | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._look_now = asyncio.Event()
        self._waits: set[asyncio.Timeout] = set()
        self._failed_probes = 0

    async def start(self) -> None:
        """Begin to look for the upstream and return; ``state`` becomes ready when it answers."""
        self._client = _http_client(self._spec)
        self._watcher = asyncio.create_task(self._watch(), name="upstream-watcher")

    async def stop(self) -> None:
        """Close every connection; requests under way fail."""
        self.state = "stopped"
        if self._watcher is not None:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
        for wait in tuple(self._waits):
            wait.reschedule(asyncio.get_running_loop().time())
        if self._client is not None:
            await self._client.aclose()

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
        if self.state != "ready" or self._client is None:
            raise WorkerNotReady(self.state, self.last_error)
        self.in_flight += 1
        try:
            async with contextlib.aclosing(self._events(request, self._client)) as events:
                yield events
        finally:
            self.in_flight -= 1

    async def _events(
        self, request: GenerationRequest, client: httpx2.AsyncClient
    ) -> AsyncGenerator[RequestEvent, None]:
        try:
            async with contextlib.aclosing(self._ask(request, client)) as events:
                async for event in events:
                    yield event
        except UpstreamFault as fault:
            if fault.failure in (Failure.ENGINE_RESTARTED, Failure.UNAVAILABLE):
                self._look_now.set()
                logger.warning("the upstream did not answer a request: %s", fault)
            yield fault.event(request.id)

    async def _ask(self, request: GenerationRequest, client: httpx2.AsyncClient) -> AsyncGenerator[RequestEvent, None]:
        spec = self._spec
        if request.enable_thinking and not spec.template_arguments:
            raise UpstreamFault(Failure.UNSUPPORTED, "enable_thinking: this upstream cannot be told to think")
        assert self.info is not None
        body = completion_body(request, self.info.model, template_arguments=spec.template_arguments)
        headers = dict(request.trace_headers)
        message = client.build_request("POST", f"{self._root}/chat/completions", json=body, headers=headers)
        response = await self._told(client.send(message, stream=True))
        try:
            await self._check(response, "text/event-stream")
            pieces = response.aiter_raw()
            reader, answer = EventReader(request.sampling.max_new_tokens), AnswerReader(request)
            while (piece := await self._told(anext(pieces, None))) is not None:
                for data in reader.feed(piece):
                    if data == DONE:
                        # A connection is used again only when its answer was read to the end.
                        await _read_last_bytes(pieces)
                        yield answer.finish()
                        return
                    for event in answer.take(data):
                        yield event
            yield answer.finish()
        finally:
            await response.aclose()

    async def _check(self, response: httpx2.Response, wanted: str) -> None:
        if response.status_code != httpx2.codes.OK:
            raise from_answer(response.status_code, response.headers, await self._whole(response, LONGEST_ERROR))
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == wanted:
            return
        if kind == "application/json":
            raise malformed("one piece of JSON in place of a stream")
        raise no_api(kind[:80])

    async def _whole(self, response: httpx2.Response, longest: int) -> bytes:
        """Read a body, or as much of it as makes sense."""
        body, pieces = bytearray(), response.aiter_raw()
        while len(body) < longest and (piece := await self._told(anext(pieces, None))) is not None:
            body += piece
        return bytes(body[:longest])

    async def _told(self, awaitable: Awaitable[T]) -> T:
        """Await; raise ``UpstreamFault`` for what goes wrong on the way, and when the service stops."""
        try:
            # Each wait has a scope of its own, since the waits of one answer may be different tasks'.
            async with asyncio.timeout(None) as wait:
                self._waits.add(wait)
                try:
                    return await awaitable
                finally:
                    self._waits.discard(wait)
        except httpx2.HTTPError as error:
            raise from_transport(error) from error
        except TimeoutError as error:
            raise UpstreamFault(Failure.ENGINE_RESTARTED, "the service is stopping") from error

    async def _watch(self) -> None:
        while self.state not in ("failed", "stopped"):
            self._look_now.clear()
            try:
                async with asyncio.timeout(PROBE_TIMEOUT_S):
                    model = await self._look()
            except UpstreamFault as fault:
                self._missed(fault)
            except TimeoutError:
                self._missed(UpstreamFault(Failure.ENGINE_RESTARTED, "the upstream does not answer"))
            except Exception:
                logger.exception("looking for the upstream failed")
                self._missed(UpstreamFault(Failure.ENGINE_RESTARTED, "looking for the upstream failed; see the log"))
            else:
                self._found(model)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s()):
                    await self._look_now.wait()

    def _pause_s(self) -> float:
        if self._failed_probes == 0:
            return PROBE_EVERY_S
        return float(min(LAST_PROBE_AGAIN_S, FIRST_PROBE_AGAIN_S * 2 ** min(self._failed_probes - 1, 10)))

    async def _look(self) -> ListedModel:
        spec = self._spec
        if spec.ready_path is not None:
            origin = urlsplit(spec.url)
            await self._get(f"{origin.scheme}://{origin.netloc}{spec.ready_path}")
            return ListedModel(id=spec.model or spec.requested_model)
        try:
            listed = ModelList.model_validate_json(await self._get(f"{self._root}/models", "application/json")).data
        except ValidationError as error:
            raise no_api("no list of models") from error
        wanted = spec.model or spec.requested_model
        named = next((model for model in listed if model.id == wanted), None)
        if named is None and spec.model is None and len(listed) == 1:
            named = listed[0]
        if named is None:
            known = ", ".join(model.id[:80] for model in listed[:5]) or "none"
            raise UpstreamFault(
                Failure.UNAVAILABLE, f"the upstream has no model {wanted}, but {known}: set LLM_UPSTREAM_MODEL"
            )
        return named

    async def _get(self, url: str, wanted: str | None = None) -> bytes:
        assert self._client is not None
        response = await self._told(self._client.send(self._client.build_request("GET", url), stream=True))
        try:
            if wanted is not None:
                await self._check(response, wanted)
            elif not response.is_success:
                raise from_answer(response.status_code, response.headers, b"")
            return await self._whole(response, LONGEST_MODEL_LIST)
        finally:
            await response.aclose()

    def _found(self, model: ListedModel) -> None:
        self._failed_probes, self.last_error = 0, None
        info = engine_info(self._root, model, self._spec.requested_model)
        if self.state != "ready" or info != self.info:
            logger.info("generator ready: %s at the upstream", info.model)
        self.info, self.state = info, "ready"

    def _missed(self, fault: UpstreamFault) -> None:
        if fault.status == httpx2.codes.TOO_MANY_REQUESTS and self.state == "ready":
            return  # it is there, and has enough to do
        self._failed_probes += 1
        if self._failed_probes == 1 or str(fault) != self.last_error:
            logger.warning("the upstream is not ready: %s", fault)
        self.last_error = str(fault)
        if self.state == "ready" and self._failed_probes >= FAILED_PROBES:
            self.state = "restarting"
            self.restarts += 1
        elif self.state == "loading" and fault.refuses_the_key:
            self.state = "failed"
            if self._on_fatal is not None:
                self._on_fatal(str(fault))


def _http_client(spec: UpstreamSpec) -> httpx2.AsyncClient:
    headers = {"Accept-Encoding": "identity", "User-Agent": "llm-service"}
    if spec.api_key:
        headers["Authorization"] = f"Bearer {spec.api_key}"
    return httpx2.AsyncClient(
        headers=headers,
        timeout=httpx2.Timeout(
            connect=spec.connect_timeout_s, read=spec.stall_timeout_s, write=spec.stall_timeout_s, pool=PROBE_TIMEOUT_S
        ),
        # One more than there are requests at once: for asking whether it is ready.
        limits=httpx2.Limits(
            max_connections=spec.max_connections + 1,
            max_keepalive_connections=spec.max_connections,
            keepalive_expiry=KEPT_IDLE_S,
        ),
        # A proxy is for what lies outside; the environment's must not get what is said on this machine.
        trust_env=urlsplit(spec.url).hostname not in ("localhost", "127.0.0.1", "::1"),
    )


async def _read_last_bytes(pieces: AsyncIterator[bytes]) -> None:
    with contextlib.suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(LAST_BYTES_S):
            async for _ in pieces:
                pass
