"""Load dictionaries, phrase lists, tables and texts into the backend's database.

    python scripts/ingest.py FILE… [--from-table] [--prune] [--source NAME] [--drop-source NAME] [--no-embed]

Loading a file again changes only what changed in it. Exit status: 0 loaded (vectors that could
not be made now are made by the backend later), 1 the database failed or its vectors have another
length than the embedding model's, 2 a file or table cannot be read, 130 interrupted.
"""

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __package__ in (None, ""):  # started as a file: the app's folder is where its imports start
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from adapters.app_table import AppTable, NoSuchTable
from adapters.base import Embedder, StoreUnavailable, WrongDimension
from adapters.database import Dsn
from adapters.embedded_postgres import EmbeddedPostgres
from adapters.supabase_adapter import SupabaseAdapter
from scripts.progress import ProgressBars
from services.formats import FORMATS, ParsedRecords, UnreadableFile, read_file
from services.formats.app_table import APP_TABLE, AppRow, read_app_rows
from services.ingestion import DocumentIngestor, EmbedReport, IngestReport
from services.sources import gone, remove

if TYPE_CHECKING:
    from config.settings import Settings

SHOWN_PROBLEMS = 20
EMBED_CONCURRENCY = 2
"""One batch is computed while the vectors of another are stored."""
_GO_ON = "What had been stored stays; run the same command again to go on."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = _options(arguments)
    try:
        parsed = [read_file(path, options.source) for path in options.files]
        _refuse_one_name_twice(parsed)
        # Only now: a wrong file name is told before the configuration is read.
        from config.settings import settings

        asyncio.run(_ingest(parsed, settings, options))
    except (UnreadableFile, NoSuchTable) as error:
        return _fail(str(error), 2)
    except StoreUnavailable as error:
        return _fail(f"{error}\n{_GO_ON}", 1)
    except WrongDimension as error:
        return _fail(f"the documents are stored, their vectors are not: {error}", 1)
    except KeyboardInterrupt:
        return _fail(f"interrupted. {_GO_ON}", 130)
    return 0


async def _ingest(parsed: Sequence[ParsedRecords], settings: "Settings", options: argparse.Namespace) -> None:
    async with AsyncExitStack() as stack:
        dsn = await _dsn(settings, stack)
        if options.from_table:
            parsed = [*parsed, await _read_table(dsn, options.from_table)]
        store = await _store(dsn, settings, stack)
        embedder = _embedder(stack) if options.embed else None
        ingestor = DocumentIngestor(store, embedder, embed_concurrency=EMBED_CONCURRENCY)
        for name in options.drop_source:
            print(f"{name}: {await remove(store, await gone(store, name, ()))} documents removed")
        for records in parsed:
            with ProgressBars() as bars:
                report = await ingestor.ingest_records(records.records, bars, embed=False)
            _show(records, report, everything=options.verbose)
            await _tidy(store, records, prune=options.prune)
        if options.embed:
            with ProgressBars() as bars:
                vectors = await ingestor.embed_pending(bars)
            _show_vectors(vectors)


async def _tidy(store: SupabaseAdapter, records: ParsedRecords, *, prune: bool) -> None:
    """Remove, or tell of, what an earlier load of the file stored and the file holds no longer."""
    left = await gone(store, records.source, (document.id for document in records.documents))
    if not left:
        return
    if not prune:
        print(f"  {len(left)} documents of an earlier load are no longer in it; --prune removes them")
    elif records.documents:
        print(f"  {await remove(store, left)} documents of an earlier load are no longer in it and were removed")
    else:
        print(f"  nothing can be read in it, so the {len(left)} documents of an earlier load stay", file=sys.stderr)


async def _read_table(dsn: Dsn, name: str) -> ParsedRecords:
    table = AppTable(dsn, name)
    try:
        found = await table.rows()
    finally:
        await table.close()
    return read_app_rows([_app_row(row) for row in found], name)


def _app_row(row: Mapping[str, Any]) -> AppRow:
    linked = {name: row[name] for name in ("metadata", "lemma", "subentry", "example") if isinstance(row[name], dict)}
    return AppRow(row["id"], str(row["kind"]), str(row["content"] or ""), **linked)


async def _dsn(settings: "Settings", stack: AsyncExitStack) -> Dsn:
    from config.settings import secret

    dsn = secret(settings.database_url)
    if dsn is not None:
        return dsn
    postgres = EmbeddedPostgres(settings.data_dir)
    stack.push_async_callback(postgres.stop)
    await postgres.start()
    return postgres.uri


async def _store(dsn: Dsn, settings: "Settings", stack: AsyncExitStack) -> SupabaseAdapter:
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
    parser.add_argument(
        "files", nargs="*", type=Path, metavar="FILE", help=f"dictionary, phrase list, table or text: {FORMATS}"
    )
    parser.add_argument(
        "--no-embed", dest="embed", action="store_false", help="make no vectors now; the backend makes them later"
    )
    parser.add_argument(
        "--prune", action="store_true", help="remove documents that an earlier load of the file stored and that left it"
    )
    parser.add_argument(
        "--source", metavar="NAME", help="under which name the documents are kept, by default the file's own"
    )
    parser.add_argument(
        "--drop-source", action="append", default=[], metavar="NAME", help="remove everything loaded under this name"
    )
    parser.add_argument(
        "--from-table",
        nargs="?",
        const=APP_TABLE,
        metavar="TABLE",
        help=f"load the app's own table of this database as well, by default {APP_TABLE}; it is only read",
    )
    parser.add_argument("--verbose", action="store_true", help=f"tell every problem, not only {SHOWN_PROBLEMS} a file")
    options = parser.parse_args(arguments)
    if not options.files and not options.from_table and not options.drop_source:
        parser.error("a file, --from-table or --drop-source is needed")
    for name in [*options.drop_source, *([] if options.source is None else [options.source])]:
        if not name.strip() or "\0" in name:
            parser.error("a source needs a name")
    return options


def _refuse_one_name_twice(parsed: Sequence[ParsedRecords]) -> None:
    names = [records.source for records in parsed]
    for name in names:
        if names.count(name) > 1:
            raise UnreadableFile(f"two files named {name}: load them one by one, each with a --source of its own")


def _show(records: ParsedRecords, report: IngestReport, *, everything: bool) -> None:
    lines = [*map(str, records.problems), *report.rejected]
    repeated = f", {records.repeated} printed twice" if records.repeated else ""
    print(
        f"{records.source}: {report.inserted} new, {report.updated} changed, {report.unchanged} unchanged; "
        f"{len(lines)} left out{repeated}"
    )
    shown = len(lines) if everything else SHOWN_PROBLEMS
    for line in lines[:shown]:
        print(f"  {line}", file=sys.stderr)
    if len(lines) > shown:
        print(f"  … and {len(lines) - shown} more; --verbose tells them all", file=sys.stderr)


def _show_vectors(report: EmbedReport) -> None:
    if report.replaced and report.embedded:
        print("the embedding model is another one than before: its vectors replace the old ones")
    print(f"vectors: {report.embedded} made, {report.pending} missing")
    if report.error:
        print(
            f"warning: vectors are missing ({report.error}); the documents are found by their words, and the "
            "backend makes the vectors once the LLM service answers",
            file=sys.stderr,
        )


def _fail(message: str, status: int) -> int:
    print(f"ingest: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
