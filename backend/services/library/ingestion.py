"""Ingestion: stores documents and computes missing vectors.

A document is stored and searchable by its words at once; its vector follows when an embedder is
available, now or in the background. Hence a failing embedder never loses a document.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from adapters.ports.documents import Document
from adapters.ports.models import Embedder, KnowsFingerprint, LogicalError, TechnicalError
from adapters.ports.store import DocumentStore, UpsertReport
from services.library.vectors import BackFill, EmbedReport, OnProgress, Progress

__all__ = ["DocumentIngestor", "EmbedReport", "IngestReport", "OnProgress", "Progress"]

logger = logging.getLogger(__name__)

STORE_BATCH = 500
EMBED_BATCH = 64
_PROBE = "perro"


@dataclass(frozen=True, slots=True)
class IngestReport(UpsertReport):
    """Result of an ingestion: documents and vectors."""

    vectors: EmbedReport = field(default_factory=EmbedReport)


class DocumentIngestor:
    """Stores documents and fills in vectors; files, the API and the background task share it.

    Args:
        store: the document store.
        embedder: computes vectors; without one, documents are found by words only.
        store_batch: documents per transaction; exceeded only by a single larger record.
        embed_batch: texts per call of the embedder.
        embed_concurrency: concurrent calls; 1 leaves capacity for questions.

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
        """Store ``documents``, each as one record, then compute all missing vectors, including those of older ones."""
        stored = await self.ingest_records([[document] for document in documents], on_progress)
        vectors = await self.embed_pending(on_progress) if embed else EmbedReport()
        return IngestReport(stored.inserted, stored.updated, stored.unchanged, vectors)

    async def preview(self, records: Sequence[Sequence[Document]]) -> UpsertReport:
        """Return the report of ``ingest_records`` without storing anything. Raises ``StoreUnavailable``."""
        return await self._store_all(records, self._store.compare, None)

    async def ingest_records(
        self, records: Sequence[Sequence[Document]], on_progress: OnProgress | None = None
    ) -> UpsertReport:
        """Store ``records``, whose documents must have passed ``check_document``, each together or not at all.

        Raises ``StoreUnavailable``: earlier batches stay stored, and ingesting again resumes there.
        """
        return await self._store_all(records, self._store.upsert, on_progress)

    async def _store_all(
        self,
        records: Sequence[Sequence[Document]],
        store: Callable[[Sequence[Document]], Awaitable[UpsertReport]],
        on_progress: OnProgress | None,
    ) -> UpsertReport:
        total, done, report = sum(map(len, records)), 0, UpsertReport()
        for batch in _batches(records, self._store_batch):
            report += await store(batch)
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
        return await embedder.read_fingerprint()
    return (await embedder.embed_texts([_PROBE])).fingerprint


def _batches(records: Iterable[Sequence[Document]], size: int) -> Iterator[list[Document]]:
    """Yield whole records, up to ``size`` documents at a time."""
    held: list[Document] = []
    for record in records:
        if held and len(held) + len(record) > size:
            yield held
            held = []
        held = [*held, *record]
    if held:
        yield held
