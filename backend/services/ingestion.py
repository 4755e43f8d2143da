"""Documents into the store, and vectors for those that have none yet.

Words come first: a document is stored and found by its words at once; vectors follow when an
embedder can be reached, now or in the background. So no failure of an embedder loses a document.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from adapters.base import Document, DocumentStore, Embedder, LogicalError, TechnicalError
from services.documents import InvalidDocument, check_document
from services.formats import read_records

logger = logging.getLogger(__name__)

STORE_BATCH = 500
EMBED_BATCH = 64
_PROBE = "perro"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stage is, in documents."""

    stage: Literal["store", "embed"]
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class EmbedReport:
    """What a back-fill did. ``error`` says why vectors are still missing, if the embedder failed."""

    embedded: int = 0
    pending: int = 0
    fingerprint: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What became of the documents, and of their vectors."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: tuple[str, ...] = ()
    """One line for each document that was refused: its id and the reason."""
    vectors: EmbedReport = field(default_factory=EmbedReport)


OnProgress = Callable[[Progress], None]


class DocumentIngestor:
    """Stores documents and fills in vectors; files, the API and the background task share it.

    Args:
        store: where documents go.
        embedder: makes vectors; without one documents are found by words only.
        store_batch: documents per transaction.
        embed_batch: texts per call of the embedder.

    """

    def __init__(
        self,
        store: DocumentStore,
        embedder: Embedder | None,
        *,
        store_batch: int = STORE_BATCH,
        embed_batch: int = EMBED_BATCH,
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._store_batch = store_batch
        self._embed_batch = embed_batch

    async def ingest(
        self, documents: Sequence[Document], on_progress: OnProgress | None = None, *, embed: bool = True
    ) -> IngestReport:
        """Store ``documents``, then make the vectors that are missing, these and older ones.

        Invalid documents are left out and reported. Raises ``StoreUnavailable``; what earlier
        batches stored stays, and ingesting again goes on from there.
        """
        fit, rejected = _sort_out(documents)
        inserted = updated = unchanged = 0
        for start in range(0, len(fit), self._store_batch):
            batch = fit[start : start + self._store_batch]
            report = await self._store.upsert(batch)
            inserted, updated = inserted + report.inserted, updated + report.updated
            unchanged += report.unchanged
            _tell(on_progress, Progress("store", start + len(batch), len(fit)))
        vectors = await self.embed_pending(on_progress) if embed else EmbedReport()
        return IngestReport(inserted, updated, unchanged, tuple(rejected), vectors)

    async def embed_pending(self, on_progress: OnProgress | None = None) -> EmbedReport:
        """Make every vector that is missing or was made by another model.

        Returns what was done also when the embedder fails midway; calling again goes on from
        there. Raises ``StoreUnavailable``.
        """
        if self._embedder is None:
            return EmbedReport(pending=(await self._store.stats(None)).pending_embeddings)
        try:
            fingerprint = (await self._embedder.embed_texts([_PROBE])).fingerprint
        except (TechnicalError, LogicalError) as error:
            logger.warning("no vectors for now: %s", error)
            return EmbedReport(pending=(await self._store.stats(None)).pending_embeddings, error=str(error))
        return await _BackFill(self._store, self._embedder, self._embed_batch, on_progress).run(fingerprint)


class _BackFill:
    """One pass over the documents without a vector of the embedder's model."""

    def __init__(self, store: DocumentStore, embedder: Embedder, batch: int, on_progress: OnProgress | None) -> None:
        self._store = store
        self._embedder = embedder
        self._batch = batch
        self._on_progress = on_progress
        self._refused: set[str] = set()
        self._done = 0

    async def run(self, fingerprint: str) -> EmbedReport:
        total = (await self._store.stats(fingerprint)).pending_embeddings
        error: str | None = None
        while batch := await self._next(fingerprint):
            try:
                fingerprint = await self._embed(batch)
            except TechnicalError as failure:
                logger.warning("vectors are still missing: %s", failure)
                error = str(failure)
                break
            _tell(self._on_progress, Progress("embed", self._done, max(total, self._done)))
        if self._refused and error is None:
            error = f"the embedder refused {len(self._refused)} documents"
        pending = (await self._store.stats(fingerprint)).pending_embeddings
        return EmbedReport(self._done, pending, fingerprint, error)

    async def _next(self, fingerprint: str) -> list[tuple[str, str]]:
        rows = await self._store.pending(fingerprint, self._batch + len(self._refused))
        return [row for row in rows if row[0] not in self._refused][: self._batch]

    async def _embed(self, batch: list[tuple[str, str]]) -> str:
        """Store the vectors of ``batch``, leaving out what the embedder refuses; return its fingerprint."""
        ids, texts = [row[0] for row in batch], [row[1] for row in batch]
        try:
            made = await self._embedder.embed_texts(texts)
        except LogicalError as error:
            if len(batch) == 1:
                logger.warning("the embedder refused document %s: %s", ids[0], error)
                self._refused.add(ids[0])
                return (await self._embedder.embed_texts([_PROBE])).fingerprint
            middle = len(batch) // 2
            await self._embed(batch[:middle])
            return await self._embed(batch[middle:])
        await self._store.set_vectors(ids, made.vectors, made.fingerprint, texts)
        self._done += len(ids)
        return made.fingerprint


def entries_to_documents(entries: Sequence[dict[str, Any]]) -> list[Document]:
    """Return the documents of dictionary entries or phrase pairs; bad ones are logged and left out."""
    parsed = read_records(entries)
    for problem in parsed.problems:
        logger.warning("record %d left out: %s", problem.index, problem.reason)
    return parsed.documents


def _sort_out(documents: Sequence[Document]) -> tuple[list[Document], list[str]]:
    fit: list[Document] = []
    rejected: list[str] = []
    for document in documents:
        try:
            check_document(document)
        except InvalidDocument as error:
            rejected.append(f"{document.id[:80]!r}: {error}")
        else:
            fit.append(document)
    return fit, rejected


def _tell(on_progress: OnProgress | None, progress: Progress) -> None:
    if on_progress is not None:
        on_progress(progress)
