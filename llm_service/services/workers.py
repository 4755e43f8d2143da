"""What the service asks of a worker, and how it follows a request there."""

import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Protocol

from engines.base import (
    Embedded,
    EmbeddingRequest,
    EngineInfo,
    Failed,
    Failure,
    Finished,
    GenerationRequest,
    RequestEvent,
)
from engines.client import WorkerNotReady, WorkerState
from services.deadline import Deadline
from services.errors import (
    ContextLengthExceeded,
    Draining,
    EngineRestarted,
    GenerationFailed,
    ModelLoading,
    ModelUnavailable,
    Overloaded,
    ServiceError,
    Unsupported,
)

LOADING_RETRY_AFTER_S = 2.0

_FAILURES: dict[Failure, type[ServiceError]] = {
    Failure.CONTEXT_LENGTH_EXCEEDED: ContextLengthExceeded,
    Failure.UNSUPPORTED: Unsupported,
    Failure.GENERATION_FAILED: GenerationFailed,
    Failure.ENGINE_RESTARTED: EngineRestarted,
    Failure.OVERLOADED: Overloaded,
    Failure.UNAVAILABLE: ModelUnavailable,
}


class Worker(Protocol):
    """What the service asks of a ``WorkerClient``."""

    @property
    def state(self) -> WorkerState:
        """Whether it can be asked."""
        ...

    @property
    def info(self) -> EngineInfo | None:
        """What it has loaded, once it has."""
        ...

    @property
    def restarts(self) -> int:
        """How often it was replaced or lost."""
        ...

    @property
    def batch_sizes(self) -> Counter[int]:
        """How many steps computed so many requests together."""
        ...

    @property
    def kv_cache_usage(self) -> float | None:
        """Share of the KV cache that is held, 0 to 1; ``None`` when it does not say."""
        ...

    @property
    def last_error(self) -> str | None:
        """Why it is not ready, in words for callers."""
        ...

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


async def follow(
    worker: Worker, request: GenerationRequest | EmbeddingRequest, deadline: Deadline
) -> AsyncGenerator[RequestEvent, None]:
    """Submit a request and yield its events up to the last; raises a ``ServiceError``."""
    try:
        await deadline.wait(worker.wait_ready())
        async with worker.open(request) as events:
            while True:
                event = await deadline.wait(anext(events))
                if isinstance(event, Failed):
                    kind = _FAILURES[event.failure]
                    raise kind(event.message, retry_after_s=event.retry_after_s, **event.details)
                yield event
                if isinstance(event, Finished | Embedded):
                    return
    except WorkerNotReady as error:
        if error.state == "stopped":
            raise Draining("the service is stopping") from error
        if error.state == "failed":
            raise ModelUnavailable("the model could not be loaded; see the service's log") from error
        reason = error.reason or "the model is being loaded"
        raise ModelLoading(reason, retry_after_s=LOADING_RETRY_AFTER_S) from error
