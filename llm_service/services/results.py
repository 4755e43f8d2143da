"""Results of the service."""

import time
from dataclasses import dataclass, field
from typing import Literal

from engines.events import FinishReason, FirstToken, FloatMatrix, FloatVector, TextDelta, TokenLogprob, ToolCallDelta
from engines.requests import ToolCall
from schemas.generation import Timings
from workers.worker import WorkerState


@dataclass(frozen=True, slots=True)
class Started:
    """First item of every answer: the engine has accepted the request; later errors are faults, not refusals.

    ``cache``: ``hit`` for an answer from the response cache, ``miss`` for one that will be cached, ``None`` for one
    that is not cached.
    """

    cache: Literal["hit", "miss"] | None = None


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """Part of the thought; not part of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class GenerationResult:
    """A complete answer. ``reasoning`` is the thought before it, if any; ``tool_calls`` are whole calls, each with
    arguments that follow its tool's parameters; ``degraded``: by a model other than the configured one.
    """

    answer: str
    model: str
    device: str
    finish_reason: FinishReason | Literal["tool_calls"]
    prompt_tokens: int
    completion_tokens: int
    timings: Timings
    reasoning: str | None = None
    cached: bool = False
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    degraded: bool = False


GenerationItem = Started | FirstToken | ReasoningDelta | TextDelta | ToolCallDelta | GenerationResult
"""Items of an answer, in this order; deltas only for streamed requests."""


@dataclass(frozen=True, slots=True)
class EncoderResult:
    """Result of an encoder: for each text the ``tokens`` read and whether it was ``truncated``."""

    model: str
    tokens: tuple[int, ...]
    truncated: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class EmbeddingResult(EncoderResult):
    """Vectors, shape (texts, dimension)."""

    vectors: FloatMatrix
    fingerprint: str


@dataclass(frozen=True, slots=True)
class RankingResult(EncoderResult):
    """Scores, shape (documents,)."""

    scores: FloatVector


@dataclass(frozen=True, slots=True)
class Health:
    """Whether requests are served; ``degraded``: by another model than the configured one. ``last_error`` is that of a
    worker that is not ready.
    """

    status: Literal["healthy", "loading", "degraded", "unhealthy"]
    generator: WorkerState
    embedder: WorkerState
    last_error: str | None


@dataclass(slots=True)
class Clock:
    """Timestamps of one request, in seconds of the monotonic clock."""

    arrived: float = field(default_factory=time.monotonic)
    admitted: float = 0.0
    first_token: float = 0.0

    def timings(self, tokens: int) -> Timings:
        """Return the timings of a request that ends now with ``tokens`` tokens."""
        now = time.monotonic()
        running = max(now - self.admitted, 1e-9)
        return Timings(
            queue_ms=round(1000 * (self.admitted - self.arrived), 2),
            ttft_ms=round(1000 * ((self.first_token or now) - self.arrived), 2),
            total_ms=round(1000 * (now - self.arrived), 2),
            tokens_per_second=round(tokens / running, 2),
        )
