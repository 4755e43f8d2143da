"""Worker protocol: a supervised model, in a process (``WorkerClient``) or at an address (``UpstreamClient``)."""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Protocol

from engines.base import EngineInfo
from engines.events import RequestEvent
from engines.requests import Request
from workers.parent import Fault, WorkerState


class Worker(Protocol):
    """Interface of a worker to the service."""

    @property
    def state(self) -> WorkerState:
        """Current state; only a ``ready`` worker accepts requests."""

    @property
    def info(self) -> EngineInfo | None:
        """The loaded model, or ``None`` before it is loaded."""

    @property
    def restarts(self) -> int:
        """Number of times the worker was replaced or lost."""

    @property
    def batch_sizes(self) -> Counter[int]:
        """Number of steps by batch size."""

    @property
    def kv_cache_usage(self) -> float | None:
        """Share of the KV cache in use, 0 to 1; ``None`` when unknown."""

    @property
    def last_error(self) -> str | None:
        """Reason why the worker is not ready; safe to show to clients."""

    @property
    def last_fault(self) -> Fault | None:
        """The last failure since the start; safe to show to clients."""

    @property
    def pid(self) -> int | None:
        """Its process; ``None`` for a model elsewhere."""

    async def start(self) -> None:
        """Start the worker; returns at once."""

    async def stop(self) -> None:
        """Stop the worker; running requests fail."""

    def open(self, request: Request) -> contextlib.AbstractAsyncContextManager[AsyncIterator[RequestEvent]]:
        """Submit a request and yield its events up to the last one; exiting early cancels it.

        Waits while a worker that was ready is being replaced. Both the context manager and the events raise
        ``ServiceError``.
        """
