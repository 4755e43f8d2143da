"""Ingestion: stores documents and computes missing vectors.

A document is stored and searchable by its words at once; its vector follows when an embedder is
available, now or in the background. Hence a failing embedder never loses a document.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from adapters.base import (
    Document,
    DocumentStore,
    Embedder,
    KnowsFingerprint,
    LogicalError,
    TechnicalError,
    UpsertReport,
)
from services.library.documents import InvalidDocument, check_document
from services.library.formats import read_records
from services.library.vectors import BackFill, EmbedReport, OnProgress, Progress

__all__ = ["DocumentIngestor", "EmbedReport", "IngestReport", "OnProgress", "Progress", "entries_to_documents"]

logger = logging.getLogger(__name__)

STORE_BATCH = 500
EMBED_BATCH = 64
_PROBE = "perro"


@dataclass(frozen=True, slots=True)
class IngestReport:
    """Result of an ingestion: documents and vectors."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: tuple[str, ...] = ()
    """One line per rejected document: its id and the reason."""
    vectors: EmbedReport = field(default_factory=EmbedReport)


class DocumentIngestor:
    """Stores documents and fills in vectors; files, the API and the background task share it.

    Args:
        store: the document store.
        embedder: computes vectors; without one, documents are found by words only.
        store_batch: documents per transaction; exceeded only by a single larger record.
        embed_batch: texts per call of the embedder.
        embed_concurrency: concurrent calls of the embedder; 1 leaves capacity for questions.

    """

    def __init__(
        self,
        store: DocumentStore,
        embedder: Embedder | None,
        *,
        store_batch: int = STORE_BATCH,
        embed_batch: int = EMBED_BATCH,
        embed_concurrency: int = 1,
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._store_batch = store_batch
        self._embed_batch = embed_batch
        self._embed_concurrency = embed_concurrency

    async def ingest(
        self, documents: Sequence[Document], on_progress: OnProgress | None = None, *, embed: bool = True
    ) -> IngestReport:
        """Ingest ``documents``, each as a record of its own (see ``ingest_records``)."""
        return await self.ingest_records([[document] for document in documents], on_progress, embed=embed)

    async def preview(self, records: Sequence[Sequence[Document]]) -> IngestReport:
        """Return what ``ingest_records`` would store, without storing it. Raises ``StoreUnavailable``."""
        return await self._store_all(records, self._store.compare, None)

    async def ingest_records(
        self, records: Sequence[Sequence[Document]], on_progress: OnProgress | None = None, *, embed: bool = True
    ) -> IngestReport:
        """Store ``records``, then compute all missing vectors, including those of older documents.

        The documents of one record are stored together or not at all; invalid ones are skipped and
        reported. Raises ``StoreUnavailable``: earlier batches stay stored, and ingesting again resumes
        there. Raises ``WrongDimension``.
        """
        report = await self._store_all(records, self._store.upsert, on_progress)
        return replace(report, vectors=await self.embed_pending(on_progress)) if embed else report

    async def _store_all(
        self,
        records: Sequence[Sequence[Document]],
        store: Callable[[Sequence[Document]], Awaitable[UpsertReport]],
        on_progress: OnProgress | None,
    ) -> IngestReport:
        rejected: list[str] = []
        fit = [_sort_out(record, rejected) for record in records]
        total = sum(len(record) for record in fit)
        report = IngestReport(rejected=tuple(rejected))
        done = 0
        for batch in _batches(fit, self._store_batch):
            stored = await store(batch)
            report = replace(
                report,
                inserted=report.inserted + stored.inserted,
                updated=report.updated + stored.updated,
                unchanged=report.unchanged + stored.unchanged,
            )
            done += len(batch)
            if on_progress is not None:
                on_progress(Progress("store", done, total))
        return report

    async def embed_pending(self, on_progress: OnProgress | None = None) -> EmbedReport:
        """Compute every vector that is missing or came from another model.

        Returns a report also when the embedder fails midway; calling again resumes there. Raises
        ``StoreUnavailable`` and ``WrongDimension``.
        """
        if self._embedder is None:
            return EmbedReport(pending=(await self._store.stats(None)).pending_embeddings)
        try:
            fingerprint = await _fingerprint(self._embedder)
        except (TechnicalError, LogicalError) as error:
            reason = f"{error.status} {error.error_type}" if isinstance(error, LogicalError) else error
            logger.warning("no vectors for now: %s", reason)
            return EmbedReport(pending=(await self._store.stats(None)).pending_embeddings, error=str(error))
        back_fill = BackFill(
            self._store,
            self._embedder,
            batch=self._embed_batch,
            concurrency=self._embed_concurrency,
            on_progress=on_progress,
        )
        return await back_fill.run(fingerprint)


async def _fingerprint(embedder: Embedder) -> str:
    """Return the embedder's fingerprint, embedding a text only if necessary, since that would load a model."""
    if isinstance(embedder, KnowsFingerprint):
        return await embedder.tell_fingerprint()
    return (await embedder.embed_texts([_PROBE])).fingerprint


def entries_to_documents(entries: Sequence[dict[str, Any]]) -> list[Document]:
    """Return the documents of dictionary entries or phrase pairs; log and skip invalid ones."""
    parsed = read_records(entries)
    for problem in parsed.problems:
        logger.warning("%s left out", problem)
    return parsed.documents


def _sort_out(record: Iterable[Document], rejected: list[str]) -> list[Document]:
    fit: list[Document] = []
    for document in record:
        try:
            check_document(document)
        except InvalidDocument as error:
            rejected.append(f"{document.id[:80]!r}: {error}")
        else:
            fit.append(document)
    return fit


def _batches(records: Iterable[list[Document]], size: int) -> Iterator[list[Document]]:
    """Yield whole records, up to ``size`` documents at a time."""
    held: list[Document] = []
    for record in records:
        if held and len(held) + len(record) > size:
            yield held
            held = []
        held = held + record if held else list(record)
    if held:
        yield held
