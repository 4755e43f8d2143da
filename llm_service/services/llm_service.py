"""The service itself: one language model, one embedding model, whoever asks.

Knows neither HTTP nor tensors. A request is admitted, handed to its worker, and followed until it
ends, its deadline passes or its caller leaves.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Protocol

from config.settings import Settings, settings
from engines.base import (
    Embedded,
    EmbeddingRequest,
    EngineInfo,
    Failed,
    Failure,
    Finished,
    FirstToken,
    GenerationRequest,
    RequestEvent,
    TextDelta,
    WorkerSpec,
)
from engines.client import WorkerClient, WorkerNotReady, WorkerState
from services.admission import Admission
from services.deadline import Deadline
from services.errors import (
    ContextLengthExceeded,
    Draining,
    EngineRestarted,
    GenerationFailed,
    InvalidRequest,
    ModelLoading,
    ModelUnavailable,
    ServiceError,
    Unsupported,
)
from services.results import Clock, EmbeddingResult, GenerationItem, GenerationResult, Health, Started, Status

EMBEDDING_CONCURRENCY = 8
"""Embedding requests inside the worker together; their texts share batches."""
LOADING_RETRY_AFTER_S = 2.0


class Worker(Protocol):
    """What the service asks of a ``WorkerClient``."""

    state: WorkerState
    info: EngineInfo | None
    restarts: int
    last_error: str | None

    async def start(self) -> None:
        """Start the process; return at once."""
        ...

    async def stop(self) -> None:
        """End the process; requests under way fail."""
        ...

    async def wait_ready(self) -> None:
        """Wait while the worker is being replaced; raise ``WorkerNotReady`` otherwise."""
        ...

    def open(
        self, request: GenerationRequest | EmbeddingRequest
    ) -> contextlib.AbstractAsyncContextManager[AsyncIterator[RequestEvent]]:
        """Submit a request and give its events; leaving early cancels it."""
        ...


class LLMService:
    """Generation and embeddings for the whole process."""

    def __init__(self, config: Settings, generator: Worker, embedder: Worker) -> None:
        self._config = config
        self._generator = generator
        self._embedder = embedder
        self._generation = Admission(config.llm_max_batch, config.llm_max_queue)
        self._embedding = Admission(EMBEDDING_CONCURRENCY, config.embed_max_queue)

    @property
    def model_name(self) -> str:
        """The model that answers, or the one that will."""
        return self._generator.info.model if self._generator.info else self._config.llm_model

    @property
    def device(self) -> str:
        """Where it runs: cpu, cuda:0, or the configured wish until it is loaded."""
        return self._generator.info.device if self._generator.info else self._config.llm_device_map

    async def start(self) -> None:
        """Start loading both models; returns at once."""
        await asyncio.gather(self._generator.start(), self._embedder.start())

    async def stop(self) -> None:
        """End both workers."""
        await asyncio.gather(self._generator.stop(), self._embedder.stop())

    async def generate(self, request: GenerationRequest, timeout_s: float | None = None) -> GenerationResult:
        """Answer a conversation; raises a ``ServiceError``. Cancelling stops the generation."""
        async with contextlib.aclosing(self.stream(request, timeout_s)) as items:
            async for item in items:
                if isinstance(item, GenerationResult):
                    return item
        raise GenerationFailed("the engine gave no answer")

    async def stream(
        self, request: GenerationRequest, timeout_s: float | None = None
    ) -> AsyncGenerator[GenerationItem, None]:
        """Yield ``Started``, deltas when the request wants them, then the whole result."""
        clock, deadline = Clock(), self._deadline(timeout_s)
        async with contextlib.AsyncExitStack() as stack:
            await deadline.wait(stack.enter_async_context(self._generation.place()))
            clock.admitted = time.monotonic()
            events = await stack.enter_async_context(contextlib.aclosing(self._run(self._generator, request, deadline)))
            async for event in events:
                if isinstance(event, FirstToken):
                    clock.first_token = time.monotonic()
                    yield Started()
                elif isinstance(event, TextDelta):
                    yield event
                elif isinstance(event, Finished):
                    yield self._result(event, clock)

    async def embed(
        self,
        texts: tuple[str, ...],
        *,
        normalize: bool = True,
        request_id: str | None = None,
        timeout_s: float | None = None,
    ) -> EmbeddingResult:
        """Embed texts, in order; raises a ``ServiceError``."""
        if not texts:
            raise InvalidRequest("texts must not be empty")
        request = EmbeddingRequest(request_id or uuid.uuid4().hex, texts, normalize)
        deadline = self._deadline(timeout_s)
        async with contextlib.AsyncExitStack() as stack:
            await deadline.wait(stack.enter_async_context(self._embedding.place()))
            events = await stack.enter_async_context(contextlib.aclosing(self._run(self._embedder, request, deadline)))
            async for event in events:
                if isinstance(event, Embedded):
                    return self._embedding_result(event)
        raise GenerationFailed("the engine gave no vectors")

    def health(self) -> Health:
        """Say how everything is; never waits, never loads."""
        states = (self._generator.state, self._embedder.state)
        info = self._generator.info
        status: Status
        if "failed" in states or "stopped" in states:
            status = "unhealthy"
        elif "loading" in states:
            status = "loading"
        elif "restarting" in states:
            status = "unhealthy"
        else:
            status = "degraded" if info is not None and info.degraded else "healthy"
        return Health(
            status=status,
            generator=self._generator.state,
            embedder=self._embedder.state,
            generator_info=info,
            embedder_info=self._embedder.info,
            running=self._generation.running,
            waiting=self._generation.waiting,
            capacity=self._generation.capacity,
            restarts=self._generator.restarts + self._embedder.restarts,
            last_error=self._generator.last_error or self._embedder.last_error,
        )

    def _deadline(self, timeout_s: float | None) -> Deadline:
        limit = self._config.llm_request_timeout_s
        return Deadline(limit if timeout_s is None else min(timeout_s, limit))

    async def _run(
        self, worker: Worker, request: GenerationRequest | EmbeddingRequest, deadline: Deadline
    ) -> AsyncGenerator[RequestEvent, None]:
        try:
            await deadline.wait(worker.wait_ready())
            async with worker.open(request) as events:
                while True:
                    event = await deadline.wait(anext(events))
                    if isinstance(event, Failed):
                        raise _FAILURES[event.failure](event.message, **event.details)
                    yield event
                    if isinstance(event, Finished | Embedded):
                        return
        except WorkerNotReady as error:
            if error.state == "stopped":
                raise Draining("the service is stopping") from error
            if error.state == "failed":
                raise ModelUnavailable("the model could not be loaded; see the service's log") from error
            raise ModelLoading("the model is being loaded", retry_after_s=LOADING_RETRY_AFTER_S) from error

    def _embedding_result(self, event: Embedded) -> EmbeddingResult:
        info = self._embedder.info
        assert info is not None
        return EmbeddingResult(event.vectors, info.model, info.fingerprint or "", event.tokens, event.truncated)

    def _result(self, event: Finished, clock: Clock) -> GenerationResult:
        return GenerationResult(
            answer=event.text.strip(),
            model=self.model_name,
            device=self.device,
            finish_reason=event.finish_reason,
            prompt_tokens=event.prompt_tokens,
            completion_tokens=event.completion_tokens,
            timings=clock.timings(event.completion_tokens),
        )


_FAILURES: dict[Failure, type[ServiceError]] = {
    Failure.CONTEXT_LENGTH_EXCEEDED: ContextLengthExceeded,
    Failure.UNSUPPORTED: Unsupported,
    Failure.GENERATION_FAILED: GenerationFailed,
    Failure.ENGINE_RESTARTED: EngineRestarted,
}


def build_llm_service(config: Settings, on_fatal: Callable[[str], None] | None = None) -> LLMService:
    """Wire a service to its two workers; ``on_fatal`` hears why a model can never be loaded."""
    generator = WorkerSpec(
        model=config.llm_model,
        backend=config.llm_backend,
        offline_model=config.llm_offline_model,
        device_map=config.llm_device_map,
        dtype=config.llm_dtype,
        max_batch=config.llm_max_batch,
        kv_cache_gb=config.llm_kv_cache_gb,
        max_batched_tokens=config.llm_max_batched_tokens,
        hub_environment=config.hub_environment,
        log_level=config.log_level,
    )
    embedder = WorkerSpec(
        model=config.embedding_model,
        backend=config.embedding_backend,
        device_map=config.llm_device_map,
        cache_dir=str(config.model_cache_dir),
        hub_environment=config.hub_environment,
        log_level=config.log_level,
    )
    timeouts = {"stall_timeout_s": config.llm_stall_timeout_s, "load_timeout_s": config.llm_load_timeout_s}
    return LLMService(
        config,
        WorkerClient("generator", generator, on_fatal=on_fatal, **timeouts),
        WorkerClient("embedder", embedder, on_fatal=on_fatal, **timeouts),
    )


_llm_service: LLMService | None = None


def get_llm_service(on_fatal: Callable[[str], None] | None = None) -> LLMService:
    """Return the process's one service. Its models load when ``start`` is called, which the
    application does at start-up.
    """
    global _llm_service  # noqa: PLW0603 - the plan's singleton
    if _llm_service is None:
        _llm_service = build_llm_service(settings, on_fatal)
    return _llm_service
