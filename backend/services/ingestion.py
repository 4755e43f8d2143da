"""Documents into the store, and vectors for those that have none yet.

Words come first: a document is stored and found by its words at once; vectors follow when an
embedder can be reached, now or in the background. So no failure of an embedder loses a document.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from adapters.base import Document, DocumentStore, Embedder, KnowsFingerprint, LogicalError, TechnicalError
from services.documents import InvalidDocument, check_document
from services.formats import read_records
from services.vectors import BackFill, EmbedReport, OnProgress, Progress

__all__ = ["DocumentIngestor", "EmbedReport", "IngestReport", "OnProgress", "Progress", "entries_to_documents"]

logger = logging.getLogger(__name__)

STORE_BATCH = 500
EMBED_BATCH = 64
_PROBE = "perro"


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What became of the documents, and of their vectors."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: tuple[str, ...] = ()
    """One line for each document that was refused: its id and the reason."""
    vectors: EmbedReport = field(default_factory=EmbedReport)


class DocumentIngestor:
    """Stores documents and fills in vectors; files, the API and the background task share it.

    Args:
        store: where documents go.
        embedder: makes vectors; without one documents are found by words only.
        store_batch: documents per transaction, unless one record alone has more.
        embed_batch: texts per call of the embedder.
        embed_concurrency: calls of the embedder under way at once; one leaves it room for questions.

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
        """Store ``documents``, each on its own; otherwise as ``ingest_records``."""
        return await self.ingest_records([[document] for document in documents], on_progress, embed=embed)

    async def ingest_records(
        self, records: Sequence[Sequence[Document]], on_progress: OnProgress | None = None, *, embed: bool = True
    ) -> IngestReport:
        """Store ``records``, then make the vectors that are missing, these and older ones.

        The documents of one record are stored together or not at all; invalid ones are left out
        and reported. Raises ``StoreUnavailable``; what earlier batches stored stays, and ingesting
        again goes on from there. Raises ``WrongDimension``.
        """
        rejected: list[str] = []
        fit = [_sort_out(record, rejected) for record in records]
        total = sum(len(record) for record in fit)
        report = IngestReport(rejected=tuple(rejected))
        done = 0
        for batch in _batches(fit, self._store_batch):
            stored = await self._store.upsert(batch)
            report = replace(
                report,
                inserted=report.inserted + stored.inserted,
                updated=report.updated + stored.updated,
                unchanged=report.unchanged + stored.unchanged,
            )
            done += len(batch)
            if on_progress is not None:
                on_progress(Progress("store", done, total))
        return replace(report, vectors=await self.embed_pending(on_progress)) if embed else report

    async def embed_pending(self, on_progress: OnProgress | None = None) -> EmbedReport:
        """Make every vector that is missing or was made by another model.

        Returns what was done also when the embedder fails midway; calling again goes on from
        there. Raises ``StoreUnavailable`` and ``WrongDimension``.
        """
        if self._embedder is None:
            return EmbedReport(pending=(await self._store.stats(None)).pending_embeddings)
        try:
            fingerprint = await _fingerprint(self._embedder)
        except (TechnicalError, LogicalError) as error:
            told = f"{error.status} {error.error_type}" if isinstance(error, LogicalError) else error
            logger.warning("no vectors for now: %s", told)
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
    """Return what the vectors compare with, without making one where that can be had: it would load a model."""
    if isinstance(embedder, KnowsFingerprint):
        return await embedder.tell_fingerprint()
    return (await embedder.embed_texts([_PROBE])).fingerprint


def entries_to_documents(entries: Sequence[dict[str, Any]]) -> list[Document]:
    """Return the documents of dictionary entries or phrase pairs; bad ones are logged and left out."""
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
