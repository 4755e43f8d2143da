"""Files loaded through the API: dry run, load, removal of a source.

Readers and loader are those of ``scripts/ingest.py``. After an interrupted load whole records are stored, and loading
the same file again adds the rest.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Final

from adapters.ports.store import DocumentStore, UpsertReport
from schemas.library import SHOWN_REFUSALS, RefusedPart, UploadReport
from services.library.formats import NotReadable, ParsedRecords, UnreadableFile, read_content
from services.library.ingestion import DocumentIngestor, Progress
from services.library.sources import gone, remove

_STEP: Final = 100
"""Records stored between two reports of progress."""


class LibraryBusy(Exception):
    """Another file is being read or loaded, or a source removed."""


class Uploads:
    """Loads one file at a time, in this process; the back-fill of vectors is started by ``on_loaded``."""

    def __init__(
        self,
        store: DocumentStore,
        ingestor: DocumentIngestor,
        *,
        tables_as_text: bool = False,
        on_loaded: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._ingestor = ingestor
        self._tables_as_text = tables_as_text
        self._on_loaded = on_loaded
        self._busy = False

    async def preview(self, name: str, data: bytes, *, source: str | None = None) -> UploadReport:
        """Return the changes that a load would make; ``source`` names the documents, by default as the file.

        Raises ``UnreadableFile``, ``LibraryBusy`` and ``StoreUnavailable``.
        """
        with self._alone():
            parsed = await self._read(name, data, source)
            return await self._report(parsed, await self._ingestor.preview(parsed.records))

    async def load(
        self, name: str, data: bytes, *, source: str | None = None, prune: bool = False
    ) -> AsyncGenerator[Progress | UploadReport, None]:
        """Load a file: yield the progress, beginning with none, and the report. Raises as ``preview`` does.

        ``prune`` also removes documents of an earlier load that the file no longer contains, unless nothing can be
        read in it.
        """
        with self._alone():
            parsed = await self._read(name, data, source)
            total, done, report = len(parsed.documents), 0, UpsertReport()
            try:
                yield Progress("store", done, total)
                for start in range(0, len(parsed.records), _STEP):
                    step = parsed.records[start : start + _STEP]
                    report += await self._ingestor.ingest_records(step)
                    done += sum(map(len, step))
                    yield Progress("store", done, total)
                yield await self._report(parsed, report, prune=prune and total > 0)
            finally:
                self._on_loaded()

    async def drop(self, source: str) -> int:
        """Remove the documents loaded from files under a name; return how many documents. Raises ``LibraryBusy``."""
        with self._alone():
            return await remove(self._store, await gone(self._store, source, ()))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self._busy:
            raise LibraryBusy("another file is being loaded")
        self._busy = True
        try:
            yield
        finally:
            self._busy = False

    async def _read(self, name: str, data: bytes, source: str | None) -> ParsedRecords:
        reading = asyncio.ensure_future(
            asyncio.to_thread(read_content, data, name, source, tables_as_text=self._tables_as_text)
        )
        try:
            return await asyncio.shield(reading)
        except NotReadable as error:
            raise UnreadableFile(f"{name}: {error}") from error
        except asyncio.CancelledError:
            # A thread cannot be stopped: the next file has to wait for its end.
            await asyncio.gather(reading, return_exceptions=True)
            raise

    async def _report(self, parsed: ParsedRecords, stored: UpsertReport, *, prune: bool = False) -> UploadReport:
        left = await gone(self._store, parsed.source, (document.id for document in parsed.documents))
        removed = await remove(self._store, left) if prune else 0
        return UploadReport(
            source=parsed.source,
            **asdict(stored),
            refused=len(parsed.problems),
            refusals=[RefusedPart.model_validate(problem) for problem in parsed.problems[:SHOWN_REFUSALS]],
            repeated=parsed.repeated,
            gone=len(left),
            removed=removed,
            note=parsed.note,
        )
