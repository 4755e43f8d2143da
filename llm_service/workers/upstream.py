"""Another server as the generator: any OpenAI-compatible API, in the place of a worker process.

No process of this service is involved (docs/decisions/0018-upstream.md): the server is probed at the start,
periodically, and after every failure.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable

from pydantic import ValidationError

from config.settings import Settings
from engines.errors import EngineRestarted, GenerationFailed, ModelUnavailable, Overloaded, ServiceError, Unsupported
from engines.events import RequestEvent
from engines.requests import DetokenizeRequest, GenerationRequest, Request, TokenizeRequest
from engines.upstream.client import CompletionClient
from engines.upstream.faults import KeyRefused, no_api
from engines.upstream.texts import detokenize, tokenize
from engines.upstream.wire import ListedModel, ModelList, completion_body, engine_info, upstream_fields
from workers.supervision import start_task
from workers.worker import Fault, Worker

PROBE_EVERY_S, FIRST_PROBE_AGAIN_S, LAST_PROBE_AGAIN_S = 15.0, 0.25, 4.0
PROBE_TIMEOUT_S = 5.0
FAILED_PROBES = 2
"""Failures in a row after which the upstream counts as lost."""
_PROBE_AFTER = (EngineRestarted, ModelUnavailable, GenerationFailed)

logger = logging.getLogger(__name__)


class UpstreamClient(Worker):
    """A supervised upstream: ``ready`` while it answers, ``restarting`` once it is lost."""

    def __init__(self, settings: Settings, *, on_fatal: Callable[[str], None] | None = None) -> None:
        super().__init__(on_fatal)
        key = settings.llm_upstream_api_key
        assert settings.llm_upstream_url is not None
        self._client = CompletionClient(
            settings.llm_upstream_url,
            key.get_secret_value() if key else None,
            max_connections=settings.llm_max_batch,
            connect_timeout_s=settings.llm_upstream_connect_timeout_s,
            stall_timeout_s=settings.llm_stall_timeout_s,
        )
        self._settings = settings
        self._watcher: asyncio.Task[None] | None = None
        self._probe_now = asyncio.Event()
        self._failed_probes = 0

    async def start(self) -> None:
        """Begin to probe the upstream and return; ``state`` becomes ready when it answers."""
        self._watcher = start_task(self._watch(), "upstream-watcher", self._watcher_ended)

    async def stop(self) -> None:
        """Close every connection; running requests fail."""
        self.state = "stopped"
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        await self._client.close()

    @contextlib.asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[AsyncIterator[RequestEvent]]:
        """Ask the upstream and give its events; leaving early closes the connection.

        Raises a ``ServiceError``, as the events do; at once while the upstream is away.
        """
        if self.state != "ready":
            raise self.refusal
        async with contextlib.aclosing(self._ask(request)) as events:
            yield events

    async def _ask(self, request: Request) -> AsyncGenerator[RequestEvent, None]:
        assert self.info is not None
        if isinstance(request, TokenizeRequest):
            yield await tokenize(self._client, request, self.info.model)
            return
        if isinstance(request, DetokenizeRequest):
            yield await detokenize(self._client, request, self.info.model)
            return
        assert isinstance(request, GenerationRequest)
        template_arguments = self._settings.llm_upstream_template_arguments
        if request.enable_thinking and not template_arguments and request.reasoning_effort is None:
            raise Unsupported("this upstream takes no template arguments", field="enable_thinking")
        body = completion_body(request, self.info.model, template_arguments=template_arguments)
        body |= upstream_fields(request)
        try:
            async with contextlib.aclosing(self._client.answer(request, body)) as events:
                async for event in events:
                    yield event
        except _PROBE_AFTER as error:
            self._probe_now.set()
            logger.warning("the upstream did not answer a request: %s", error)
            raise

    async def _watch(self) -> None:
        while self.state not in ("failed", "stopped"):
            self._probe_now.clear()
            try:
                async with asyncio.timeout(PROBE_TIMEOUT_S):
                    self._found(await self._probe())
            except ServiceError as error:
                self._missed(error)
            except TimeoutError:
                self._missed(EngineRestarted("the upstream does not answer"))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s()):
                    await self._probe_now.wait()

    def _watcher_ended(self, error: BaseException | None) -> None:
        if error is not None:
            self.fail("the upstream is no longer watched; see the log")

    def _pause_s(self) -> float:
        if self._failed_probes == 0:
            return PROBE_EVERY_S
        return float(min(LAST_PROBE_AGAIN_S, FIRST_PROBE_AGAIN_S * 2 ** min(self._failed_probes - 1, 10)))

    async def _probe(self) -> ListedModel:
        settings, client = self._settings, self._client
        wanted = settings.llm_upstream_model or settings.llm_model
        if settings.llm_upstream_ready_path is not None:
            await client.probe(f"{client.origin}{settings.llm_upstream_ready_path}")
            return ListedModel(id=wanted)
        try:
            listed = ModelList.model_validate_json(await client.call(f"{client.root}/models")).data
        except ValidationError as error:
            raise no_api("no list of models") from error
        named = next((model for model in listed if model.id == wanted), None)
        if named is None and settings.llm_upstream_model is None and len(listed) == 1:
            named = listed[0]
        if named is None:
            known = ", ".join(model.id[:80] for model in listed[:5]) or "none"
            raise ModelUnavailable(f"the upstream has no model {wanted}, but {known}: set LLM_UPSTREAM_MODEL")
        return named

    def _found(self, model: ListedModel) -> None:
        self._failed_probes, self.last_error = 0, None
        info = engine_info(self._client.root, model, self._settings.llm_model)
        if self.state != "ready" or info != self.info:
            logger.info("generator ready: %s at the upstream", info.model)
        self.info, self.state = info, "ready"

    def _missed(self, error: ServiceError) -> None:
        if isinstance(error, Overloaded) and self.state == "ready":
            return  # busy, but reachable
        self._failed_probes += 1
        if error.message != self.last_error:
            logger.warning("the upstream is not ready: %s", error)
        self.last_error = error.message
        self.last_fault = Fault(error.message)
        if self.state == "ready" and self._failed_probes >= FAILED_PROBES:
            self.state = "restarting"
            self.restarts += 1
        elif self.state == "loading" and isinstance(error, KeyRefused):
            self.fail(error.message)
