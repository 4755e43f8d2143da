"""Ports of the backend: language models, embedders and the document store.

Services know these protocols and records only; the adapters beside this file implement them.
Errors carry their meaning: a ``TechnicalError`` means "this provider cannot answer now, another
might", a ``LogicalError`` means "the request itself is wrong, another provider would refuse it too".
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol, TypedDict, runtime_checkable

ServedBy = Literal["llm_service", "local", "dictionary", "none"]
Direction = Literal["es_bora", "bora_es"]
Language = Literal["es", "boa"]
Role = Literal["answer", "nearest", "other"]
"""Of a source. ``answer``: a basis of the answer; ``nearest``: a close entry, as none matches; ``other``: the rest."""


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
    model: str
    fingerprint: str
    served_by: ServedBy


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

    async def tell_fingerprint(self) -> str:
        """Return the fingerprint; raise ``TechnicalError``."""


class Ranker(Protocol):
    """Scores texts by how well they answer a question."""

    async def rank_texts(self, query: str, texts: Sequence[str], *, request_id: str | None = None) -> list[float]:
        """Return one score a text, in order, the higher the better; raise ``TechnicalError`` or ``LogicalError``."""


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
    """A matching document, its score (higher is better) and what it matched on."""

    id: str
    kind: str
    content: str
    score: float
    matched_on: tuple[str, ...]
    metadata: Mapping[str, Any]
    spans: tuple[tuple[int, int], ...] = ()
    """Start and end of the sentences that support an answer, in characters of ``content``; of texts only."""
    role: Role = "other"


@dataclass(frozen=True, slots=True)
class ParsedQuery:
    """A question reduced to its search terms.

    ``phrase`` is the folded term or terms without question frame ("perro" from "¿Cómo se dice
    perro en bora?"), ``terms`` its words, ``direction`` the direction asked for, where known.
    """

    original: str
    phrase: str
    terms: tuple[str, ...]
    direction: Direction | None = None
    left_out: tuple[str, ...] = ()
    """Words that are not looked up, because there are more than a search takes."""


@dataclass(frozen=True, slots=True)
class HeadWord:
    """A word under which an entry stands in the alphabetical list of a language."""

    language: Language
    place: str
    """Compares by bytes as the language sorts."""
    word: str
    folded: str
    own: bool
    """The word is the entry's lemma; else one of its meanings, with the entry read the other way round."""


@dataclass(frozen=True, slots=True)
class IndexFields:
    """The searchable side of one document; every text is folded except the ``stems``."""

    direction: str | None
    lemma_keys: list[str]
    gloss_keys: list[str]
    near_keys: list[int]
    text_a: str
    text_b: str
    text_c: str
    stem_a: str
    stem_b: str
    stem_c: str
    passage_text: str = ""
    """What a text is found by; the other fields of a text are empty."""
    head_words: list[HeadWord] = field(default_factory=list)


class Lookup(NamedTuple):
    """Keys and words by which a store finds the candidates for one question.

    ``whole`` and ``parts`` are compared with a document's whole-phrase keys, ``near`` and ``near_terms`` with its
    near keys; ``terms`` are full-text terms, folded, and ``accented`` the same terms as typed.
    """

    whole: list[str]
    parts: list[str]
    near: list[int]
    near_terms: list[int]
    terms: list[str]
    accented: list[str]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A document found by any part of the search, with the fields that ranking reads."""

    id: str
    kind: str
    content: str
    metadata: Mapping[str, Any]
    direction: str | None
    lemma_keys: list[str]
    gloss_keys: list[str]
    text_a: str
    text_b: str
    text_c: str
    term_fields: list[str]
    """For each query term, the best field that contains it: a, b, c or an empty string."""
    term_counts: list[int]
    """For each query term, the number of documents that contain it."""


class Evidence(NamedTuple):
    """A match of a candidate: its score, and what it is on."""

    score: float
    matched_on: str


class Weighed(NamedTuple):
    """A candidate and what its words are worth, the best match first."""

    candidate: Candidate
    evidence: list[Evidence]


@dataclass(frozen=True, slots=True)
class FoundEntries:
    """What was found for a question by its words; ``hits`` are the best of ``weighed``."""

    query: ParsedQuery
    lookup: Lookup
    weighed: list[Weighed]
    hits: list[SearchHit]


@dataclass(frozen=True, slots=True)
class TextTerm:
    """A word of a question to texts, as typed and folded."""

    typed: str
    folded: str


@dataclass(frozen=True, slots=True)
class TextCandidate:
    """A text found by words or by vector."""

    id: str
    content: str
    metadata: Mapping[str, Any]
    similarity: float | None
    """Cosine similarity to the question; ``None`` unless both vectors have the same fingerprint."""


@dataclass(frozen=True, slots=True)
class FoundTexts:
    """Texts found for a question, in no order; for each of its terms, the number of texts that contain it."""

    candidates: list[TextCandidate]
    term_counts: list[int]
    total: int
    """Texts in the store."""


class TextIndex(Protocol):
    """Language-specific part of search: index keys of documents, lookup keys of questions, and ranking.

    ``version`` is part of every stored content hash.
    """

    version: int

    def fields(self, document: Document) -> IndexFields:
        """Return the searchable fields of ``document``."""

    def lookup(self, query: "ParsedQuery") -> Lookup:
        """Return the lookup keys of one question."""

    def weigh(self, query: "ParsedQuery", candidates: Sequence[Candidate], total: int) -> list[Weighed]:
        """Return the candidates with what their words are worth; ``total`` is the number of documents in the store."""

    def rank(self, weighed: Sequence[Weighed], similarities: Mapping[str, float], top_k: int) -> list["SearchHit"]:
        """Return the best ``top_k``; ``similarities`` are cosines to the question's vector, by document id."""


ListPosition = tuple[str, str, str]
"""Place, word and document id: the order of a list of words."""


@dataclass(frozen=True, slots=True)
class ListedWord:
    """A word of the alphabetical list of a language, its meaning in the other one, and the entry that has both."""

    id: str
    place: str
    word: str
    meaning: str
    pos: str


@dataclass(frozen=True, slots=True)
class ListedWords:
    """One page of a list of words, in order."""

    words: list[ListedWord]
    counts: Mapping[str, int]
    """Words in the whole list, by the first character of their places."""


@dataclass(frozen=True, slots=True)
class EntryDocuments:
    """An entry, and the examples and sub-entries that belong to it."""

    entry: Document
    parts: list[Document]


@dataclass(frozen=True, slots=True)
class UpsertReport:
    """Result of an upsert, in documents."""

    inserted: int
    updated: int
    unchanged: int


@dataclass(frozen=True, slots=True)
class StoreStats:
    """Document counts. ``pending_embeddings`` counts documents without a vector of the current
    fingerprint; search finds these by their words only.
    """

    documents: int
    by_kind: Mapping[str, int]
    by_direction: Mapping[str, int]
    embedding_fingerprint: str | None
    pending_embeddings: int
    entries: int = 0
    """Dictionary documents that are not example sentences."""


@dataclass(frozen=True, slots=True)
class StoredSource:
    """Documents of one kind from one source. ``matching``: of these, ids that match the pattern asked for."""

    source: str
    """Empty: documents without a source."""
    kind: str
    documents: int
    matching: int
    changed_at: datetime


class DocumentStore(Protocol):
    """Documents in Postgres, searched by words and by vectors. Every method raises ``StoreUnavailable``."""

    async def search(self, query: ParsedQuery, top_k: int) -> FoundEntries:
        """Search by words, before the question's vector is known."""

    async def search_near(
        self, found: FoundEntries, vector: Sequence[float], fingerprint: str, top_k: int
    ) -> list[SearchHit]:
        """Return the best of the candidates found by words and of the documents near the vector.

        Vectors with another fingerprint are never compared with ``vector``.
        """

    async def search_texts(self, terms: Sequence[TextTerm]) -> FoundTexts:
        """Return the documents of kind ``text`` that hold a term, for ranking."""

    async def near_texts(self, found: FoundTexts, vector: Sequence[float], fingerprint: str) -> FoundTexts:
        """Return the found texts with similarities, and other texts near the vector."""

    async def with_prefix(self, prefix: str, limit: int) -> list[SearchHit]:
        """Return up to ``limit`` entries each whose first folded lemma key or gloss key (``matched_on``) begins with
        ``prefix``, in its order.
        """

    async def list_words(
        self, language: Language, *, letter: str, contains: str, after: ListPosition | None, limit: int
    ) -> ListedWords:
        """Return up to ``limit`` words behind ``after`` whose place begins with ``letter`` and that contain the folded
        ``contains``, and the counts of all that contain it. A meaning is listed only where no entry has it for its
        lemma.
        """

    async def entry(self, document_id: str) -> EntryDocuments | None:
        """Return an entry of the dictionary with its parts; ``None``: there is none."""

    async def upsert(self, documents: Sequence[Document]) -> UpsertReport:
        """Insert or replace by id, all or nothing; unchanged documents keep their vectors."""

    async def compare(self, documents: Sequence[Document]) -> UpsertReport:
        """Return the report of an ``upsert`` without storing anything."""

    async def delete(self, document_id: str) -> bool:
        """Delete a document; return whether it existed."""

    async def pending(self, fingerprint: str, limit: int) -> list[tuple[str, str]]:
        """Return up to ``limit`` (id, content) without a vector of this fingerprint."""

    async def set_vectors(
        self,
        ids: Sequence[str],
        vectors: Sequence[Sequence[float]],
        fingerprint: str,
        contents: Sequence[str] | None = None,
    ) -> None:
        """Store vectors, skipping documents that were deleted or, where ``contents`` (the embedded texts)
        is given, changed in the meantime.
        """

    async def begin_vectors(self, count: int, documents: int) -> None:
        """Prepare for writing ``count`` vectors; ``documents``: how many the store has then."""

    async def end_vectors(self) -> None:
        """End the writing of vectors, this process's or one that was killed."""

    async def stats(self, fingerprint: str | None) -> StoreStats:
        """Count the documents."""

    async def ping(self) -> None:
        """Raise ``StoreUnavailable`` unless the database answers."""


ReportKind = Literal["missing", "wanted", "error", "helpful", "unhelpful"]
"""Words: asked for and not in the dictionary, reported as missing by a reader. Entries: reported as wrong, in an answer
that a reader found helpful, or not.
"""


@dataclass(frozen=True, slots=True)
class GivenReport:
    """A report: ``subject`` is a folded word or the id of an entry, ``note`` a reader's words or how the answer was
    made.
    """

    kind: ReportKind
    subject: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """Equal reports, counted. ``content`` is the beginning of the entry, where there is one."""

    id: int
    kind: ReportKind
    subject: str
    note: str
    count: int
    first_at: datetime
    last_at: datetime
    content: str | None


class ReportStore(Protocol):
    """Reports, counted, of each kind up to a number of rows."""

    async def add(self, given: Mapping[GivenReport, int]) -> int:
        """Add to the counts; return how many reports found no room. Raises ``StoreUnavailable``."""

    async def all(self, kind: str | None = None) -> list[Report]:
        """Return the reports, by kind, the most frequent first. Raises ``StoreUnavailable``."""

    async def delete(self, report_id: int) -> bool:
        """Delete a report; return whether it existed. Raises ``StoreUnavailable``."""


class AdapterError(Exception):
    """Failure of an external dependency. The message is meant for logs, not for clients."""


class TechnicalError(AdapterError):
    """The provider cannot answer now (unreachable, slow, broken, overloaded); another one may."""

    def __init__(self, message: str, *, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        """One word for logs and metrics: connect, timeout, protocol, http_5xx, overloaded,
        loading, draining, rate_limited, circuit_open, disabled, local_unavailable."""
        self.retry_after_s = retry_after_s


class RateLimited(TechnicalError):
    """The provider limits this caller (429); there is no fallback to another provider."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message, reason="rate_limited", retry_after_s=retry_after_s)


class LogicalError(AdapterError):
    """The provider rejected the request (4xx); a retry or another provider would not help."""

    def __init__(self, message: str, *, status: int, error_type: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type
        self.reason = "unauthorized" if status in (401, 403) else "refused"
        """One word for logs and metrics."""


class WrongDimension(AdapterError):
    """The embedder's vectors differ in length from the store's column."""


class StoreUnavailable(AdapterError):
    """The database cannot be reached or did not answer in time."""


class StoreTooNew(StoreUnavailable):
    """The database schema is newer than this program; retrying does not help."""
