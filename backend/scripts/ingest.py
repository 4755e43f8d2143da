"""Load dictionaries, phrase lists, tables and texts into the backend's database.

    python scripts/ingest.py FILE… [--from-table] [--prune] [--source NAME] [--drop-source NAME] [--no-embed]

Loading a file again changes only what changed in it. Exit status: 0 loaded (vectors that could
not be made now are made by the backend later), 1 the database failed or its vectors have another
length than the embedding model's, 2 a file or table cannot be read, 130 interrupted.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __package__ in (None, ""):  # run as a file: imports are relative to the app's folder
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from adapters.ports.store import StoreUnavailable, UpsertReport, WrongDimension
from adapters.postgres.tables.app_table import NoSuchTable, app_table_rows
from adapters.supabase_adapter import SupabaseAdapter
from scripts.opening import open_dsn, open_embedder, open_store
from scripts.progress import ProgressBars
from services.library.formats import FORMATS, ParsedRecords, UnreadableFile, read_file
from services.library.formats.app_table import APP_TABLE, AppRow, read_app_rows
from services.library.ingestion import DocumentIngestor, EmbedReport
from services.library.sources import gone, is_stored_as, remove, source_name

if TYPE_CHECKING:
    from config.settings import Settings

SHOWN_PROBLEMS = 20
EMBED_CONCURRENCY = 2
"""Two concurrent calls: one batch is embedded while the vectors of another are stored."""
_Read = Callable[[Path, str], ParsedRecords]
"""Reads a file under the name of a source."""
_GO_ON = "Documents stored so far are kept; run the same command again to continue."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = _options(arguments)
    try:
        missing = next((path for path in options.files if not path.is_file()), None)
        if missing is not None:
            raise UnreadableFile(f"{missing}: no such file")
        # Imported late, so that a wrong file name is reported before the configuration is read.
        from config.settings import settings

        as_text = options.tables_as_text or settings.mentor == "none"
        read = partial(read_file, encoding=options.encoding, tables_as_text=as_text)
        sources = [options.source or source_name(path) for path in options.files]
        _refuse_one_name_twice(sources)
        parsed = list(map(read, options.files, sources))
        asyncio.run(_ingest(parsed, read, settings, options))
    except (UnreadableFile, NoSuchTable) as error:
        return _fail(str(error), 2)
    except StoreUnavailable as error:
        return _fail(f"{error}\n{_GO_ON}", 1)
    except WrongDimension as error:
        return _fail(f"the documents are stored, their vectors are not: {error}", 1)
    except KeyboardInterrupt:
        return _fail(f"interrupted. {_GO_ON}", 130)
    return 0


async def _ingest(
    files: Sequence[ParsedRecords], read: _Read, settings: "Settings", options: argparse.Namespace
) -> None:
    async with AsyncExitStack() as stack:
        dsn = await open_dsn(settings, stack)
        table: list[ParsedRecords] = []
        if options.from_table:
            found = await app_table_rows(dsn, options.from_table)
            table = [read_app_rows(map(_app_row, found), options.from_table)]
        store = await open_store(dsn, settings, stack)
        parsed = [await _under_its_name(store, *each, read) for each in zip(options.files, files, strict=True)] + table
        embedder = open_embedder(settings, stack) if options.embed else None
        ingestor = DocumentIngestor(store, embedder, embed_concurrency=EMBED_CONCURRENCY)
        for name in options.drop_source:
            print(f"{name}: {await remove(store, await gone(store, name, ()))} documents removed")
        started = time.perf_counter()
        for records in parsed:
            with closing(ProgressBars()) as bars:
                report = await ingestor.ingest_records(records.records, bars)
            _show(records, report, everything=options.verbose)
            await _tidy(store, records, prune=options.prune)
        stored_s = time.perf_counter() - started
        if options.embed:
            with closing(ProgressBars()) as bars:
                vectors = await ingestor.embed_pending(bars)
            _show_vectors(vectors)
            made_s = time.perf_counter() - started - stored_s
            documents = sum(len(records.documents) for records in parsed)
            print(f"rates: {documents / stored_s:.0f} documents/s, {vectors.embedded / made_s:.0f} vectors/s")


async def _under_its_name(store: SupabaseAdapter, path: Path, parsed: ParsedRecords, read: _Read) -> ParsedRecords:
    """Return the documents under the file's name alone if an earlier version of this command stored them so."""
    if parsed.source != source_name(path) or not await store.documents_of_source(path.name):
        return parsed
    before = read(path, path.name)
    return before if await is_stored_as(store, path.name, before.documents) else parsed


async def _tidy(store: SupabaseAdapter, records: ParsedRecords, *, prune: bool) -> None:
    """Remove, or report, documents of an earlier load that the file no longer contains."""
    left = await gone(store, records.source, (document.id for document in records.documents))
    if not left:
        return
    if not prune:
        print(f"  {len(left)} documents of an earlier load are no longer in it; --prune removes them")
    elif records.documents:
        print(f"  {await remove(store, left)} documents of an earlier load are no longer in it and were removed")
    else:
        print(f"  nothing can be read in it, so the {len(left)} documents of an earlier load stay", file=sys.stderr)


def _app_row(row: Mapping[str, Any]) -> AppRow:
    linked = {name: row[name] for name in ("metadata", "lemma", "subentry", "example") if isinstance(row[name], dict)}
    return AppRow(row["id"], str(row["kind"]), str(row["content"] or ""), **linked)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ingest.py", description="Load documents into the backend's database.")
    parser.add_argument(
        "files", nargs="*", type=Path, metavar="FILE", help=f"dictionary, phrase list, table or text: {FORMATS}"
    )
    parser.add_argument(
        "--no-embed", dest="embed", action="store_false", help="make no vectors now; the backend makes them later"
    )
    parser.add_argument(
        "--prune", action="store_true", help="remove documents of an earlier load that the file no longer contains"
    )
    parser.add_argument(
        "--source", metavar="NAME", help="name under which the documents are kept, by default FOLDER/FILE"
    )
    parser.add_argument(
        "--encoding", metavar="NAME", help="of the text files, such as cp1252 or cp850; by default it is detected"
    )
    parser.add_argument(
        "--tables-as-text",
        action="store_true",
        help="read tables as text, a passage a row, not as dictionaries; always so with MENTOR=none",
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
    parser.add_argument("--verbose", action="store_true", help=f"show every problem, not only {SHOWN_PROBLEMS} a file")
    options = parser.parse_args(arguments)
    if not options.files and not options.from_table and not options.drop_source:
        parser.error("a file, --from-table or --drop-source is needed")
    for name in [*options.drop_source, *([] if options.source is None else [options.source])]:
        if not name.strip() or "\0" in name:
            parser.error("a source needs a name")
    return options


def _refuse_one_name_twice(names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise UnreadableFile(f"two files named {name}: load them one by one, each with a --source of its own")


def _show(records: ParsedRecords, report: UpsertReport, *, everything: bool) -> None:
    lines = list(map(str, records.problems))
    repeated = f", {records.repeated} printed twice" if records.repeated else ""
    print(
        f"{records.source}: {report.inserted} new, {report.updated} changed, {report.unchanged} unchanged; "
        f"{len(lines)} left out{repeated}{f'; {records.note}' if records.note else ''}"
    )
    shown = len(lines) if everything else SHOWN_PROBLEMS
    for line in lines[:shown]:
        print(f"  {line}", file=sys.stderr)
    if len(lines) > shown:
        print(f"  … and {len(lines) - shown} more; --verbose shows all", file=sys.stderr)


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
