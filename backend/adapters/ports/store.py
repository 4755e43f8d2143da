"""The document store: protocol, records and errors. Messages of errors are for logs, not for clients."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from adapters.ports.documents import Document, Language, ListedWords, ListPosition, SearchHit
from adapters.ports.search import FoundEntries, FoundTexts, ParsedQuery, TextTerm


@dataclass(frozen=True, slots=True)
class UpsertReport:
    """Result of an upsert, in documents."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0

    def __add__(self, more: "UpsertReport") -> "UpsertReport":
        """Return the sum of two reports."""
        return UpsertReport(self.inserted + more.inserted, self.updated + more.updated, self.unchanged + more.unchanged)


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
class Source:
    """Documents under one name."""

    source: str
    """The file's name; empty: documents without a source."""
    kinds: Mapping[str, int]
    documents: int
    from_file: int
    """Documents loaded from a file; the others came through the API."""
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

    async def entry(self, document_id: str) -> tuple[Document, list[Document]] | None:
        """Return an entry of the dictionary, and its examples and sub-entries; ``None``: there is none."""

    async def upsert(self, documents: Sequence[Document]) -> UpsertReport:
        """Insert or replace by id, all or nothing; unchanged documents keep their vectors."""

    async def compare(self, documents: Sequence[Document]) -> UpsertReport:
        """Return the report of an ``upsert`` without storing anything."""

    async def delete(self, document_id: str) -> bool:
        """Delete a document; return whether it existed."""

    async def delete_many(self, ids: Sequence[str]) -> int:
        """Delete documents, all or nothing; return how many existed."""

    async def sources(self, from_file: str) -> list[Source]:
        """Return the sources, the last changed first. Ids of documents loaded from files match ``from_file``."""

    async def documents_of_source(self, source: str) -> dict[str, str]:
        """Return ids and contents of the documents whose ``metadata.source`` is ``source``."""

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
        """Prepare for writing ``count`` vectors into a store of ``documents`` documents."""

    async def end_vectors(self) -> None:
        """End the writing of vectors, this process's or one that was killed."""

    async def stats(self, fingerprint: str | None) -> StoreStats:
        """Count the documents."""

    async def ping(self) -> None:
        """Raise ``StoreUnavailable`` unless the database answers."""


class WrongDimension(Exception):
    """The embedder's vectors differ in length from the store's column."""


class StoreUnavailable(Exception):
    """The database cannot be reached or did not answer in time."""


class StoreTooNew(StoreUnavailable):
    """The database schema is newer than this program; retrying does not help."""
