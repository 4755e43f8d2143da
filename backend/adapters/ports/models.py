"""Language models, embedders and rankers: protocols, records and errors.

The kind of an error decides whether another provider is tried. Its message is for logs, not for clients.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypedDict, runtime_checkable

ServedBy = Literal["llm_service", "local", "dictionary", "none"]

Reason = Literal[
    "connect",
    "timeout",
    "protocol",
    "http_5xx",
    "overloaded",
    "loading",
    "draining",
    "rate_limited",
    "circuit_open",
    "disabled",
    "local_unavailable",
    "refused",
    "unauthorized",
]
"""Why a provider gave no answer, for logs, metrics and clients (docs/api.md)."""


class ChatMessage(TypedDict):
    """One turn of a conversation; ``role`` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class SamplingOptions:
    """How to sample; ``None`` leaves the choice to the provider's own settings."""

    max_new_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A part of a streamed answer; never splits a character."""

    text: str


@dataclass(frozen=True, slots=True)
class Completion:
    """A complete answer and the provider that gave it."""

    answer: str
    model: str
    served_by: ServedBy
    finish_reason: str = "stop"
    tokens_generated: int = 0
    degraded: bool = False
    """The provider answered with a model other than the configured one, or is the fallback."""
    cached: bool | None = None
    """Whether the answer came from the provider's cache; ``None``: unknown."""
    timings: Mapping[str, float] = field(default_factory=dict)
    """Milliseconds by phase (``queue_ms``, ``ttft_ms``, ``total_ms``) and ``tokens_per_second``."""


InputType = Literal["query", "document"]


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Vectors in the order of the texts. Only vectors with equal fingerprints may be compared."""

    vectors: list[list[float]]
    fingerprint: str


class LanguageModel(Protocol):
    """Answers a conversation."""

    async def complete(
        self, messages: Sequence[ChatMessage], options: SamplingOptions, *, request_id: str | None = None
    ) -> Completion:
        """Return the whole answer; raise ``TechnicalError`` or ``LogicalError``."""

    def stream(
        self, messages: Sequence[ChatMessage], options: SamplingOptions, *, request_id: str | None = None
    ) -> AsyncIterator[TextDelta | Completion]:
        """Yield deltas, then one ``Completion``; raise as ``complete`` does."""


class Embedder(Protocol):
    """Turns texts into unit vectors. ``input_type``: models that have a prompt for questions, or for documents, put it
    before each text; vectors of both types may be compared.
    """

    async def embed_texts(
        self, texts: Sequence[str], *, input_type: InputType = "document", request_id: str | None = None
    ) -> Embeddings:
        """Return one vector a text, in order; raise ``TechnicalError`` or ``LogicalError``."""


@runtime_checkable
class KnowsFingerprint(Protocol):
    """An embedder that knows its fingerprint before it computes a vector."""

    async def read_fingerprint(self) -> str:
        """Return the fingerprint; raise ``TechnicalError``."""


class Ranker(Protocol):
    """Scores texts by how well they answer a question."""

    async def rank_texts(self, query: str, texts: Sequence[str], *, request_id: str | None = None) -> list[float]:
        """Return one score a text, in order, the higher the better; raise ``TechnicalError`` or ``LogicalError``."""


class TechnicalError(Exception):
    """The provider cannot answer now (unreachable, slow, broken, overloaded); another one may."""

    def __init__(self, message: str, *, reason: Reason, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.retry_after_s = retry_after_s


class RateLimited(TechnicalError):
    """The provider limits this caller (429); there is no fallback to another provider."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message, reason="rate_limited", retry_after_s=retry_after_s)


class LogicalError(Exception):
    """The provider rejected the request (4xx); a retry or another provider would not help."""

    def __init__(self, message: str, *, status: int, error_type: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type
        self.reason: Reason = "unauthorized" if status in (401, 403) else "refused"
