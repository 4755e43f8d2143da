"""What the backend asks of its neighbours: language models, embedders and the document store.

Services know these protocols and records only; the adapters beside this file implement them.
Errors carry their meaning: a ``TechnicalError`` means "this provider cannot answer now, another
might", a ``LogicalError`` means "the request itself is wrong, nobody should be asked again".
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypedDict, runtime_checkable

ServedBy = Literal["llm_service", "local", "none"]
Direction = Literal["es_bora", "bora_es"]


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
    """A piece of an answer under way; never splits a character."""

    text: str


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer, and who gave it."""

    answer: str
    model: str
    served_by: ServedBy
    finish_reason: str = "stop"
    tokens_generated: int = 0
    degraded: bool = False
    """The provider answered with a model other than the configured one, or is the fallback."""
    cached: bool | None = None
    """Whether the provider had the answer ready; ``None``: it does not say."""
    timings: Mapping[str, float] = field(default_factory=dict)
    """Milliseconds by phase (``queue_ms``, ``ttft_ms``, ``total_ms``) and ``tokens_per_second``."""


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Vectors in the order of the texts, and the fingerprint that says which may be compared."""

    vectors: list[list[float]]
    model: str
    fingerprint: str
    served_by: ServedBy


class LanguageModel(Protocol):
    """Answers a conversation."""

    async def complete(
        self, messages: Sequence[ChatMessage], options: SamplingOptions, *, request_id: str | None = None
    ) -> Completion:
        """Return the whole answer; raise ``TechnicalError`` or ``LogicalError``."""
        ...

    def stream(
        self, messages: Sequence[ChatMessage], options: SamplingOptions, *, request_id: str | None = None
    ) -> AsyncIterator[TextDelta | Completion]:
        """Yield deltas, then one ``Completion``; raise as ``complete`` does."""
        ...


class Embedder(Protocol):
    """Turns texts into unit vectors."""

    async def embed_texts(self, texts: Sequence[str], *, request_id: str | None = None) -> Embeddings:
        """Return one vector a text, in order; raise ``TechnicalError`` or ``LogicalError``."""
        ...


@runtime_checkable
class KnowsFingerprint(Protocol):
    """An embedder that can say what its vectors compare with before it makes any."""

    async def tell_fingerprint(self) -> str:
        """Return the fingerprint; raise ``TechnicalError``."""
        ...


@dataclass(frozen=True, slots=True)
class Document:
    """One retrievable entry. ``metadata`` of a dictionary document holds ``lemma``, ``gloss``,
    ``pos``, ``direction`` (the lemma's language first) and, for sub-entries and examples,
    ``parent_lemma``.
    """

    id: str
    kind: Literal["dictionary", "phrase", "text"]
    content: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A document that was found, its score (higher is better) and why it was found."""

    id: str
    kind: str
    content: str
    score: float
    matched_on: tuple[str, ...]
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ParsedQuery:
    """A question reduced to what is looked up.

    ``phrase`` is the folded term or terms without question frame ("perro" from "¿Cómo se dice
    perro en bora?"), ``terms`` its words, ``direction`` what was asked for, where it can be told.
    """

    original: str
    phrase: str
    terms: tuple[str, ...]
    direction: Direction | None = None


@dataclass(frozen=True, slots=True)
class UpsertReport:
    """What an upsert did, in documents."""

    inserted: int
    updated: int
    unchanged: int


@dataclass(frozen=True, slots=True)
class StoreStats:
    """Counts of what the store holds. ``pending_embeddings`` have no vector of the current
    fingerprint yet and are found by their words only.
    """

    documents: int
    by_kind: Mapping[str, int]
    by_direction: Mapping[str, int]
    embedding_fingerprint: str | None
    pending_embeddings: int


class DocumentStore(Protocol):
    """Documents in Postgres, found by words and by vectors."""

    async def search(
        self, query: ParsedQuery, vector: Sequence[float] | None, fingerprint: str | None, top_k: int
    ) -> list[SearchHit]:
        """Hybrid search, best first. Without a vector, by words only. Rows whose vectors have
        another fingerprint are never compared with ``vector``. Raises ``StoreUnavailable``.
        """
        ...

    async def upsert(self, documents: Sequence[Document]) -> UpsertReport:
        """Insert or replace by id, all or nothing; unchanged documents keep their vectors."""
        ...

    async def delete(self, document_id: str) -> bool:
        """Return whether the document was there."""
        ...

    async def pending(self, fingerprint: str, limit: int) -> list[tuple[str, str]]:
        """Return up to ``limit`` (id, content) without a vector of this fingerprint."""
        ...

    async def set_vectors(
        self,
        ids: Sequence[str],
        vectors: Sequence[Sequence[float]],
        fingerprint: str,
        contents: Sequence[str] | None = None,
    ) -> None:
        """Store the vectors of documents that are still there and, where ``contents`` (the texts
        the vectors were made of) is given, have not changed meanwhile.
        """
        ...

    async def stats(self, fingerprint: str | None) -> StoreStats:
        """Count the documents."""
        ...

    async def ping(self) -> None:
        """Raise ``StoreUnavailable`` unless the database answers."""
        ...


class AdapterError(Exception):
    """Something a neighbour could not do. The message is fit for a log, not for a client."""


class TechnicalError(AdapterError):
    """The provider cannot answer now (unreachable, slow, broken, overloaded); another one may."""

    def __init__(self, message: str, *, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        """One word for logs and metrics: connect, timeout, protocol, http_5xx, overloaded,
        loading, draining, rate_limited, circuit_open, disabled, local_unavailable."""
        self.retry_after_s = retry_after_s


class RateLimited(TechnicalError):
    """The provider is well and has had enough of this caller (429): nobody else is asked in its place."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message, reason="rate_limited", retry_after_s=retry_after_s)


class LogicalError(AdapterError):
    """The provider understood and refused (4xx): asking anyone again would not help."""

    def __init__(self, message: str, *, status: int, error_type: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type


class WrongDimension(AdapterError):
    """The embedder's vectors have another length than the store's column."""


class StoreUnavailable(AdapterError):
    """The database cannot be reached or did not answer in time."""


class StoreTooNew(StoreUnavailable):
    """The database belongs to a newer version of this program; waiting does not help."""
