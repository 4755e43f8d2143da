"""Files loaded through the API: dry run, load, removal of a source.

Readers and loader are those of ``scripts/ingest.py``. After an interrupted load whole records are stored, and loading
the same file again adds the rest.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from adapters.ports.store import DocumentStore
from services.library.formats import NotReadable, ParsedRecords, Problem, UnreadableFile, read_content
from services.library.ingestion import DocumentIngestor, IngestReport, Progress
from services.library.sources import gone, remove

_STEP: Final = 100
"""Records stored between two reports of progress."""


class LibraryBusy(Exception):
    """Another file is being read or loaded, or a source removed."""


@dataclass(frozen=True, slots=True)
class LoadReport:
    """Changes that a load makes, in documents."""

    source: str
    stored: IngestReport
    refused: Sequence[Problem]
    repeated: int
    """Duplicates in the file."""
    gone: int
    """Documents of an earlier load that the file no longer contains."""
    removed: int
    """Removed documents among these."""
    note: str
    """How the file was read, where that was not certain."""


class Uploads:
    """Loads one file at a time, in this process; vectors are left to the back-fill."""

    def __init__(self, store: DocumentStore, ingestor: DocumentIngestor, *, tables_as_text: bool = False) -> None:
        self._store = store
        self._ingestor = ingestor
        self._tables_as_text = tables_as_text
        self._busy = False

    async def preview(self, name: str, data: bytes, *, source: str | None = None) -> LoadReport:
        """Return the changes that a load would make; ``source`` names the documents, by default as the file.

        Raises ``UnreadableFile``, ``LibraryBusy`` and ``StoreUnavailable``.
        """
        with self._alone():
            parsed = await self._read(name, data, source)
            return await self._report(parsed, await self._ingestor.preview(parsed.records))

    async def load(
        self, name: str, data: bytes, *, source: str | None = None, prune: bool = False
    ) -> AsyncGenerator[Progress | LoadReport, None]:
        """Load a file: yield the progress, beginning with none, and the report. Raises as ``preview`` does.

        ``prune`` also removes documents of an earlier load that the file no longer contains, unless nothing can be
        read in it.
        """
        with self._alone():
            parsed = await self._read(name, data, source)
            total, done, report = len(parsed.documents), 0, IngestReport()
            yield Progress("store", done, total)
            for start in range(0, len(parsed.records), _STEP):
                step = parsed.records[start : start + _STEP]
                report += await self._ingestor.ingest_records(step, embed=False)
                done += sum(map(len, step))
                yield Progress("store", done, total)
            yield await self._report(parsed, report, prune=prune and total > 0)

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

    async def _report(self, parsed: ParsedRecords, stored: IngestReport, *, prune: bool = False) -> LoadReport:
        left = await gone(self._store, parsed.source, (document.id for document in parsed.documents))
        removed = await remove(self._store, left) if prune else 0
        return LoadReport(parsed.source, stored, parsed.problems, parsed.repeated, len(left), removed, parsed.note)
