"""Load files of dictionary entries or phrase pairs into the backend's database.

    python scripts/ingest.py FILE… [--no-embed]

Loading a file again changes only what changed in it. Exit status: 0 loaded (vectors that could
not be made now are made by the backend later), 1 the database failed, 2 a file cannot be read,
130 interrupted.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, Self

if __package__ in (None, ""):  # started as a file: the app's folder is where its imports start
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tqdm import tqdm

from adapters.base import Embedder, StoreUnavailable
from adapters.database import Dsn
from adapters.embedded_postgres import EmbeddedPostgres
from adapters.supabase_adapter import SupabaseAdapter
from services.formats import ParsedRecords, UnreadableFile, read_file
from services.ingestion import DocumentIngestor, IngestReport, Progress

if TYPE_CHECKING:
    from config.settings import Settings

SHOWN_PROBLEMS = 20
_STAGES = {"store": "documents", "embed": "vectors"}


class ProgressBars:
    """One bar a stage, on standard error, with rate and time left."""

    def __init__(self) -> None:
        self._bar: tqdm[NoReturn] | None = None
        self._stage = ""

    def __call__(self, progress: Progress) -> None:
        """Show ``progress``."""
        if self._bar is None or self._stage != progress.stage:
            self.close()
            self._stage = progress.stage
            self._bar = tqdm(total=progress.total, desc=_STAGES[progress.stage], unit=" docs", file=sys.stderr)
        bar = self._bar
        bar.total = progress.total
        bar.update(progress.done - bar.n)

    def close(self) -> None:
        """End the bar being shown."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = _options(arguments)
    try:
        parsed = [(path, read_file(path)) for path in options.files]
    except UnreadableFile as error:
        return _fail(str(error), 2)
    # Only now: a wrong file name is told before the configuration is read.
    from config.settings import settings

    try:
        asyncio.run(_ingest(parsed, settings, embed=options.embed))
    except StoreUnavailable as error:
        return _fail(f"{error}\nWhat had been stored stays; run the same command again to go on.", 1)
    except KeyboardInterrupt:
        return _fail("interrupted. What had been stored stays; run the same command again to go on.", 130)
    return 0


async def _ingest(parsed: list[tuple[Path, ParsedRecords]], settings: "Settings", *, embed: bool) -> None:
    async with AsyncExitStack() as stack:
        store = await _store(settings, stack)
        ingestor = DocumentIngestor(store, _embedder(stack) if embed else None)
        for path, records in parsed:
            with ProgressBars() as bars:
                report = await ingestor.ingest(records.documents, bars, embed=embed)
            _show(path, records, report, embed=embed)


async def _store(settings: "Settings", stack: AsyncExitStack) -> SupabaseAdapter:
    from config.settings import secret

    dsn: Dsn | None = secret(settings.database_url)
    if dsn is None:
        postgres = EmbeddedPostgres(settings.data_dir)
        stack.push_async_callback(postgres.stop)
        await postgres.start()
        dsn = postgres.uri
    store = SupabaseAdapter(
        dsn,
        dimension=settings.embedding_dimension,
        pool_size=2,
        timeout_s=settings.database_timeout,
        # A batch of hundreds of documents takes longer than a search.
        statement_timeout_s=max(60.0, settings.database_timeout),
    )
    stack.push_async_callback(store.close)
    await store.start()
    return store


def _embedder(stack: AsyncExitStack) -> Embedder:
    from adapters.llm_service_adapter import LLMServiceAdapter

    adapter = LLMServiceAdapter()
    stack.push_async_callback(adapter.close)
    return adapter


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ingest.py", description="Load documents into the backend's database.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="JSON list of entries or phrase pairs")
    parser.add_argument(
        "--no-embed", dest="embed", action="store_false", help="make no vectors now; the backend makes them later"
    )
    return parser.parse_args(arguments)


def _show(path: Path, records: ParsedRecords, report: IngestReport, *, embed: bool) -> None:
    print(
        f"{path.name}: {report.inserted} new, {report.updated} changed, {report.unchanged} unchanged; "
        f"{len(records.problems) + len(report.rejected)} left out"
    )
    lines = [f"record {problem.index}: {problem.reason}" for problem in records.problems] + list(report.rejected)
    for line in lines[:SHOWN_PROBLEMS]:
        print(f"  {line}", file=sys.stderr)
    if len(lines) > SHOWN_PROBLEMS:
        print(f"  … and {len(lines) - SHOWN_PROBLEMS} more", file=sys.stderr)
    if embed:
        print(f"vectors: {report.vectors.embedded} made, {report.vectors.pending} missing")
    if report.vectors.error:
        print(
            f"warning: vectors are missing ({report.vectors.error}); the documents are found by their words, and the "
            "backend makes the vectors once the LLM service answers",
            file=sys.stderr,
        )


def _fail(message: str, status: int) -> int:
    print(f"ingest: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
