"""What the service answers with."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from engines.base import EngineInfo, FinishReason, FloatMatrix, TextDelta
from engines.client import WorkerState
from services.events import CacheName

Status = Literal["healthy", "loading", "degraded", "unhealthy"]


@dataclass(frozen=True, slots=True)
class Timings:
    """Where a request's time went, in milliseconds, and tokens a second once it was running."""

    queue_ms: float
    ttft_ms: float
    total_ms: float
    tokens_per_second: float


@dataclass(frozen=True, slots=True)
class Started:
    """The first item of every answer: from here on nothing is refused any more.

    ``cache`` says where the answer comes from: ``hit`` when it was in the response cache, ``miss``
    when it will be, ``None`` for a request whose answers are not kept.
    """

    cache: Literal["hit", "miss"] | None = None


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """A piece of what the model thinks before it answers; never part of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class GenerationResult:
    """A whole answer. ``reasoning`` is what the model thought before it, when it was allowed to."""

    answer: str
    model: str
    device: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    timings: Timings
    reasoning: str | None = None
    cached: bool = False


GenerationItem = Started | ReasoningDelta | TextDelta | GenerationResult
"""What following an answer yields: ``Started``, deltas when the request wants them, the result."""


@dataclass(frozen=True, slots=True)
class EmbeddingResult:
    """Vectors, shape (texts, dimension), and how each text was read."""

    vectors: FloatMatrix
    model: str
    fingerprint: str
    tokens: tuple[int, ...]
    truncated: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Health:
    """The state of everything, as known without asking anyone."""

    status: Status
    generator: WorkerState
    embedder: WorkerState
    generator_info: EngineInfo | None
    embedder_info: EngineInfo | None
    running: int
    waiting: int
    capacity: int
    restarts: int
    last_error: str | None


@dataclass(frozen=True, slots=True)
class WorkerLoad:
    """One worker: ``restarts`` and ``batch_sizes`` since the start, ``kv_cache_usage`` now."""

    ready: bool
    restarts: int
    batch_sizes: Mapping[int, int]
    kv_cache_usage: float | None


@dataclass(frozen=True, slots=True)
class Load:
    """How busy everything is, as known without asking anyone; ``cache_bytes`` by the cache's name."""

    running: int
    waiting: int
    generator: WorkerLoad
    embedder: WorkerLoad
    cache_bytes: Mapping[CacheName, int]


@dataclass(slots=True)
class Clock:
    """The moments of one request, in seconds of the monotonic clock."""

    arrived: float = field(default_factory=time.monotonic)
    admitted: float = 0.0
    first_token: float = 0.0

    def timings(self, tokens: int) -> Timings:
        """Sum up a request that ends now with so many tokens."""
        now = time.monotonic()
        running = max(now - self.admitted, 1e-9)
        return Timings(
            queue_ms=round(1000 * (self.admitted - self.arrived), 2),
            ttft_ms=round(1000 * ((self.first_token or now) - self.arrived), 2),
            total_ms=round(1000 * (now - self.arrived), 2),
            tokens_per_second=round(tokens / running, 2),
        )
