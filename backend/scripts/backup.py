"""Save the backend's documents and vectors to one file, and restore them.

    python scripts/backup.py save FILE
    python scripts/backup.py restore FILE [--replace]

``python dev.py backup FILE`` and ``restore FILE`` run this in the backend's environment. The file is a zip:
``manifest.json`` describes it, ``documents.copy`` has the rows as Postgres' COPY writes them. The database may be
embedded, Supabase's or any other, so a backup also serves to move documents to another database. Exit status:
0 done, 1 not done (the database is as it was, and the message says why), 2 wrong usage, 130 interrupted.
"""

import argparse
import asyncio
import json
import sys
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

if __package__ in (None, ""):  # run as a file: imports are relative to the app's folder
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from adapters.ports.store import StoreUnavailable
from adapters.postgres.embedded_postgres import EmbeddedPostgres
from config.settings import Settings, secret
from scripts.opening import open_store

FORMAT = 1
_BLOCK_BYTES = 1 << 20
_MANIFEST, _ROWS = "manifest.json", "documents.copy"
_DESCRIBE = """
SELECT (SELECT coalesce(max(version), 0) FROM public.rag_migrations) AS schema_version,
    (SELECT atttypmod FROM pg_catalog.pg_attribute
     WHERE attrelid = 'public.rag_documents'::regclass AND attname = 'embedding') AS dimension,
    count(*) AS documents, count(embedding) AS vectors,
    (SELECT array_agg(attname::text ORDER BY attnum) FROM pg_catalog.pg_attribute
     WHERE attrelid = 'public.rag_documents'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
    ) AS columns
FROM public.rag_documents
"""


class BackupError(Exception):
    """A backup cannot be made or restored; the message says why and what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = _options(arguments)
    from config.settings import settings

    try:
        with _database(settings) as url:
            if options.action == "save":
                print(save(url, options.file))
            else:
                _prepare(url, settings)
                done = restore(url, options.file, dimension=settings.embedding_dimension, replace=options.replace)
                _prepare(url, settings)  # again: the file lacks what is derived from the documents
                print(done)
    except (BackupError, StoreUnavailable) as error:
        return _fail(str(error), 1)
    except psycopg.Error as error:
        return _fail(f"the database says: {' '.join(str(error).split())}", 1)
    except (OSError, zipfile.BadZipFile) as error:
        return _fail(f"{options.file}: {error}", 1)
    except KeyboardInterrupt:
        return _fail("interrupted; the database is as it was", 130)
    return 0


def save(url: str, file: Path) -> str:
    """Write a consistent snapshot of all documents to ``file``; return a summary for the user."""
    part = file.with_name(f"{file.name}.part")
    try:
        part.touch(mode=0o600)
        with psycopg.connect(url, prepare_threshold=None) as connection, zipfile.ZipFile(part, "w") as archive:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            connection.execute("SET LOCAL statement_timeout = 0")
            exists = connection.execute("SELECT to_regclass('public.rag_migrations') IS NOT NULL").fetchone()
            if exists != (True,):
                raise BackupError("this database has no documents of the backend: nothing to save")
            made_at = datetime.now(UTC).isoformat(timespec="seconds")
            manifest = {"format": FORMAT, "made_at": made_at, **_describe(connection)}
            with _entry(archive, _ROWS) as sink:
                _copy_out(connection, manifest["columns"], sink)
            with _entry(archive, _MANIFEST) as sink:
                sink.write(json.dumps(manifest, indent=1).encode())
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    return f"{file}: {manifest['documents']} documents, {manifest['vectors']} with vectors"


def restore(url: str, file: Path, *, dimension: int, replace: bool) -> str:
    """Restore the documents of ``file``, all or nothing; return a summary for the user.

    Raises ``BackupError`` when the file does not fit this program and its settings, or when existing documents
    would be lost and ``replace`` is false.
    """
    with zipfile.ZipFile(file) as archive:
        manifest = _read_manifest(archive)
        if manifest["dimension"] != dimension:
            raise BackupError(
                f"its vectors have {manifest['dimension']} numbers, EMBEDDING_DIMENSION is {dimension}: "
                "set EMBEDDING_DIMENSION and EMBEDDING_MODEL as they were"
            )
        with psycopg.connect(url, prepare_threshold=None) as connection:
            connection.execute("SET LOCAL statement_timeout = 0")
            connection.execute("LOCK TABLE public.rag_documents IN EXCLUSIVE MODE")
            there = _describe(connection)
            _check_schema(there, manifest)
            if there["documents"] and not replace:
                raise BackupError(f"the database holds {there['documents']} documents already; --replace deletes them")
            connection.execute("DELETE FROM public.rag_documents")
            with archive.open(_ROWS) as source:
                found = _copy_in(connection, manifest["columns"], source)
            if found != manifest["documents"]:
                raise BackupError(f"the manifest lists {manifest['documents']} documents, the file has {found}")
        with psycopg.connect(url, prepare_threshold=None, autocommit=True) as connection:
            connection.execute("ANALYZE public.rag_documents")
    return f"{found} documents restored, {manifest['vectors']} with vectors, in place of {there['documents']}"


def _describe(connection: psycopg.Connection[Any]) -> dict[str, Any]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_DESCRIBE).fetchone() or {}


def _read_manifest(archive: zipfile.ZipFile) -> dict[str, Any]:
    try:
        manifest = json.loads(archive.read(_MANIFEST))
        if manifest["format"] != FORMAT:
            raise BackupError(f"it has format {manifest['format']}, this program reads {FORMAT}: update the backend")
    except (KeyError, TypeError, ValueError) as error:
        raise BackupError("it is not a backup of this program, or incomplete") from error
    return dict(manifest)


def _check_schema(there: dict[str, Any], manifest: dict[str, Any]) -> None:
    ours, theirs = there["schema_version"], manifest["schema_version"]
    if theirs != ours:
        raise BackupError(
            f"it was made with schema version {theirs}, the database has {ours}: restore it into an empty database "
            "with the version of the backend that made it; that database can then be upgraded"
        )


def _names(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _copy_out(connection: psycopg.Connection[Any], columns: Sequence[str], sink: IO[bytes]) -> None:
    statement = sql.SQL("COPY (SELECT {} FROM public.rag_documents ORDER BY id) TO STDOUT").format(_names(columns))
    with connection.cursor().copy(statement) as rows:
        for block in rows:
            sink.write(block)


def _copy_in(connection: psycopg.Connection[Any], columns: Sequence[str], source: IO[bytes]) -> int:
    """Store the rows in ``source``; return their number."""
    statement = sql.SQL("COPY public.rag_documents ({}) FROM STDIN").format(_names(columns))
    cursor = connection.cursor()
    with cursor.copy(statement) as rows:
        # The zip's checksum is verified at the end: a damaged file raises here, which rolls back the transaction.
        while block := source.read(_BLOCK_BYTES):
            rows.write(block)
    return cursor.rowcount


@contextmanager
def _entry(archive: zipfile.ZipFile, name: str) -> Iterator[IO[bytes]]:
    entry = zipfile.ZipInfo(name, datetime.now(UTC).timetuple()[:6])
    entry.compress_type = zipfile.ZIP_DEFLATED
    with archive.open(entry, "w", force_zip64=True) as sink:
        yield sink


@contextmanager
def _database(settings: Settings) -> Iterator[str]:
    """Yield the connection string; keeps an embedded Postgres running meanwhile, shared with a running backend."""
    dsn = secret(settings.database_url)
    if dsn is not None:
        yield dsn
        return
    postgres = EmbeddedPostgres(settings.data_dir)
    try:
        yield asyncio.run(postgres.uri())
    finally:
        asyncio.run(postgres.stop())


def _prepare(url: str, settings: Settings) -> None:
    """Migrate the database schema to this program's version, and complete what it derives from documents."""

    async def start() -> None:
        async with AsyncExitStack() as stack:
            await open_store(url, settings, stack)

    asyncio.run(start())


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="backup.py", description="Save and restore the backend's documents.")
    commands = parser.add_subparsers(dest="action", required=True, metavar="COMMAND")
    saving = commands.add_parser("save", help="write every document and vector to FILE")
    restoring = commands.add_parser("restore", help="put the documents of FILE into the database")
    restoring.add_argument("--replace", action="store_true", help="delete the documents that are there now")
    for command in (saving, restoring):
        command.add_argument("file", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    if options.action == "save" and options.file.exists():
        parser.error(f"{options.file} exists already; a backup is never written over another file")
    if options.action == "restore" and not options.file.is_file():
        parser.error(f"there is no file {options.file}")
    return options


def _fail(message: str, status: int) -> int:
    print(f"backup: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
