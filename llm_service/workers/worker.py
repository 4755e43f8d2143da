"""A supervised model, in a process (``WorkerClient``) or at an address (``UpstreamClient``)."""

import contextlib
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Literal

from engines.base import EngineInfo
from engines.errors import Draining, ModelLoading, ModelUnavailable, ServiceError
from engines.events import RequestEvent
from engines.requests import Request

LOADING_RETRY_AFTER_S = 2.0

WorkerState = Literal["loading", "ready", "restarting", "failed", "stopped"]
Role = Literal["generator", "embedder", "reranker"]


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a worker last failed: ``message`` for clients, ``at`` in seconds of Unix time."""

    message: str
    at: float = field(default_factory=time.time)


class Worker(ABC):
    """A worker as the service uses it, from one event loop.

    Attributes:
        state: only a ``ready`` worker accepts requests.
        info: the loaded model; ``None`` before it is loaded.
        restarts: how often the worker was replaced or lost.
        batch_sizes: steps, counted by how many requests (or texts) each computed together; empty for an upstream.
        kv_cache_usage: share of the KV cache in use, 0 to 1; ``None``: unknown.
        last_error: why the worker is not ready; fit for clients.
        last_fault: the last failure; stays after the worker is ready again.

    ``on_fatal`` is called with the reason when the model can never be loaded.

    """

    def __init__(self, on_fatal: Callable[[str], None] | None = None) -> None:
        self.state: WorkerState = "loading"
        self.info: EngineInfo | None = None
        self.restarts = 0
        self.batch_sizes: Counter[int] = Counter()
        self.kv_cache_usage: float | None = None
        self.last_error: str | None = None
        self.last_fault: Fault | None = None
        self._on_fatal = on_fatal or (lambda _reason: None)

    @property
    def pid(self) -> int | None:
        """The process that holds the model; ``None`` for a model elsewhere."""
        return None

    @abstractmethod
    async def start(self) -> None:
        """Start and return at once; ``state`` becomes ready when the model answers."""

    @abstractmethod
    async def stop(self) -> None:
        """Stop the worker; running requests fail."""

    @abstractmethod
    def open(self, request: Request) -> contextlib.AbstractAsyncContextManager[AsyncIterator[RequestEvent]]:
        """Submit a request and yield its events up to the last one; exiting early cancels it.

        Both the context manager and the events raise ``ServiceError``.
        """

    @property
    def refusal(self) -> ServiceError:
        """The error of a request to a worker that is not ready."""
        if self.state == "stopped":
            return Draining("the service is stopping")
        if self.state == "failed":
            return ModelUnavailable("the model could not be loaded; see the service's log")
        return ModelLoading(self.last_error or "the model is being loaded", retry_after_s=LOADING_RETRY_AFTER_S)

    def fail(self, reason: str) -> None:
        """Give up: the model can never be loaded."""
        self.state, self.last_error = "failed", reason
        self._on_fatal(reason)
