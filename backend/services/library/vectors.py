"""Back-fill of vectors that are missing or came from another model.

A vector is stored with its model's fingerprint and compared only with vectors of the same
fingerprint, so two models never mix, even while one model's vectors replace another's.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from adapters.ports.models import Embedder, LogicalError, TechnicalError
from adapters.ports.store import DocumentStore, StoreUnavailable, WrongDimension

logger = logging.getLogger(__name__)

PAGE_BATCHES = 16
"""Batches fetched per read: the query slows down as the back-fill proceeds."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a stage, in documents. ``rebuild``: vectors of another model are being replaced."""

    stage: Literal["store", "embed", "rebuild"]
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class EmbedReport:
    """Result of a back-fill. ``error``: why vectors are still missing, if the embedder failed."""

    embedded: int = 0
    pending: int = 0
    fingerprint: str | None = None
    error: str | None = None
    replaced: str | None = None
    """The stored vectors' previous fingerprint, if it differs."""


OnProgress = Callable[[Progress], None]
_Row = tuple[str, str]


class BackFill:
    """One pass over the documents without a vector of the embedder's model; ``batch`` is texts a call."""

    def __init__(
        self,
        store: DocumentStore,
        embedder: Embedder,
        *,
        batch: int,
        concurrency: int = 1,
        on_progress: OnProgress | None = None,
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._batch = batch
        self._concurrency = concurrency
        self._on_progress = on_progress
        self._refused: set[str] = set()
        self._failure: TechnicalError | StoreUnavailable | WrongDimension | None = None
        self._stage: Literal["embed", "rebuild"] = "embed"
        self._done = self._total = 0

    async def run(self, fingerprint: str) -> EmbedReport:
        """Compute vectors of ``fingerprint``; stop when the embedder returns another fingerprint.

        Returns a report also when the embedder fails midway. Raises ``StoreUnavailable`` and
        ``WrongDimension``.
        """
        before = await self._store.stats(fingerprint)
        replaced = before.embedding_fingerprint if before.embedding_fingerprint != fingerprint else None
        self._total = before.pending_embeddings
        if replaced is not None and self._total:
            self._stage = "rebuild"
            logger.info("vectors of another embedding model are replaced", extra={"old": replaced, "new": fingerprint})
        await self._store.begin_vectors(self._total, before.documents)
        while self._failure is None and (page := await self._page(fingerprint)):
            await self._make(page, fingerprint)
        if not isinstance(self._failure, StoreUnavailable):
            await self._store.end_vectors()
        error = self._error()
        pending = (await self._store.stats(fingerprint)).pending_embeddings
        return EmbedReport(self._done, pending, fingerprint, error, replaced)

    def _error(self) -> str | None:
        if isinstance(self._failure, TechnicalError):
            logger.warning("vectors are still missing: %s", self._failure)
            return str(self._failure)
        if self._failure is not None:
            raise self._failure
        return f"the embedder refused {len(self._refused)} documents" if self._refused else None

    async def _page(self, fingerprint: str) -> list[_Row]:
        size = self._batch * PAGE_BATCHES
        rows = await self._store.pending(fingerprint, size + len(self._refused))
        # Batches of similar length need little padding.
        return sorted([row for row in rows if row[0] not in self._refused][:size], key=lambda row: len(row[1]))

    async def _make(self, page: Sequence[_Row], fingerprint: str) -> None:
        batches = iter([page[start : start + self._batch] for start in range(0, len(page), self._batch)])
        async with asyncio.TaskGroup() as group:
            for _ in range(self._concurrency):
                group.create_task(self._work(batches, fingerprint))

    async def _work(self, batches: Iterator[Sequence[_Row]], fingerprint: str) -> None:
        for batch in batches:
            if self._failure is not None:
                return
            try:
                await self._embed(batch, fingerprint)
            except (TechnicalError, StoreUnavailable, WrongDimension) as failure:
                self._failure = failure
                return
            if self._on_progress is not None:
                self._on_progress(Progress(self._stage, self._done, max(self._total, self._done)))

    async def _embed(self, batch: Sequence[_Row], fingerprint: str) -> None:
        """Store the vectors of ``batch``, skipping texts that the embedder rejects."""
        ids, texts = [row[0] for row in batch], [row[1] for row in batch]
        try:
            made = await self._embedder.embed_texts(texts)
        except LogicalError as error:
            if len(batch) == 1:
                logger.warning("the embedder refused a document: %s %s", error.status, error.error_type)
                self._refused.add(ids[0])
                return
            middle = len(batch) // 2
            await self._embed(batch[:middle], fingerprint)
            await self._embed(batch[middle:], fingerprint)
            return
        if made.fingerprint != fingerprint:
            raise TechnicalError("the embedding model changed while vectors were made", reason="protocol")
        await self._store.set_vectors(ids, made.vectors, made.fingerprint, texts)
        self._done += len(ids)
