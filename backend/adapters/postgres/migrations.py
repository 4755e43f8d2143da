"""Forward-only schema migrations: numbered SQL files, each applied once, in order.

Several backends may start at once, also through a transaction pooler: everything happens in
one transaction under a transaction-scoped advisory lock.
"""

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import AsyncConnection, sql

logger = logging.getLogger(__name__)

MIGRATIONS_DIR = Path(__file__).resolve().parent.parent.parent / "migrations"
_LOCK_KEY = 0x7261675F646F6373  # "rag_docs" in ASCII: any fixed number no other program uses
_FILE_NAME = re.compile(r"(\d{4})_(\w+)\.sql")


class MigrationError(Exception):
    """The schema cannot be migrated to the required version."""


class NewerSchema(MigrationError):
    """The schema is newer than this program."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of ``backend/migrations``."""

    version: int
    name: str
    script: str


@dataclass(frozen=True, slots=True)
class SchemaInfo:
    """Schema and version of pgvector, as the queries need them."""

    vector_schema: str
    vector_version: tuple[int, ...]


def load_migrations(folder: Path = MIGRATIONS_DIR) -> list[Migration]:
    """Return the migrations of ``folder`` by version; raise ``MigrationError`` on a bad set."""
    found = []
    for path in sorted(folder.glob("*.sql")):
        match = _FILE_NAME.fullmatch(path.name)
        if match is None:
            raise MigrationError(f"{path.name}: a migration is named NNNN_words.sql")
        found.append(Migration(int(match[1]), match[2], path.read_text(encoding="utf-8")))
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise MigrationError(f"migrations in {folder.name}/ are not numbered 0001, 0002, … without gaps")
    return found


async def migrate(
    connection: AsyncConnection[Any], *, dimension: int, schema: str = "public", timeout_ms: int = 120_000
) -> SchemaInfo:
    """Apply missing migrations and fit the vector column to ``dimension``.

    A complete schema is only read, which requires no right to change it. Raises ``NewerSchema`` when
    the database is newer than this program, and psycopg's errors.
    """
    async with connection.transaction():
        await connection.execute(sql.SQL("SET LOCAL statement_timeout = {}").format(timeout_ms))
        found = await _installed_extension(connection)
        if found is not None and await _is_complete(connection, dimension, schema):
            return found
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK_KEY])
        info = await _vector_extension(connection)
        names = {
            "schema": sql.Identifier(schema),
            "vector": sql.Identifier(info.vector_schema),
            "dimension": sql.Literal(dimension),
        }
        await _apply_missing(connection, names, schema)
        await _fit_dimension(connection, names, dimension, schema)
    return info


async def _installed_extension(connection: AsyncConnection[Any]) -> SchemaInfo | None:
    where = (
        "SELECT n.nspname, e.extversion FROM pg_catalog.pg_extension e "
        "JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'"
    )
    row = await (await connection.execute(where)).fetchone()
    return None if row is None else SchemaInfo(row[0], tuple(int(part) for part in re.findall(r"\d+", row[1])))


async def _vector_extension(connection: AsyncConnection[Any]) -> SchemaInfo:
    info = await _installed_extension(connection)
    if info is None:
        # Supabase keeps extensions in a schema of this name; other databases have none.
        home = await (
            await connection.execute("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = 'extensions'")
        ).fetchone()
        await connection.execute("CREATE EXTENSION vector" + (" SCHEMA extensions" if home else ""))
        info = await _installed_extension(connection)
    if info is None:
        raise MigrationError("the extension 'vector' (pgvector) cannot be created in this database")
    return info


async def _is_complete(connection: AsyncConnection[Any], dimension: int, schema: str) -> bool:
    table = sql.SQL("{}.rag_migrations").format(sql.Identifier(schema)).as_string(connection)
    readable = "SELECT to_regclass(%s) IS NOT NULL AND has_table_privilege(to_regclass(%s), 'SELECT')"
    if await (await connection.execute(readable, [table, table])).fetchone() != (True,):
        return False
    return (
        await _applied(connection, schema) == {migration.version for migration in load_migrations()}
        and await _column_dimension(connection, schema) == dimension
    )


async def _applied(connection: AsyncConnection[Any], schema: str) -> set[int]:
    """Return the applied versions; raise ``NewerSchema`` for an unknown one."""
    statement = sql.SQL("SELECT version FROM {}.rag_migrations").format(sql.Identifier(schema))
    rows = await (await connection.execute(statement)).fetchall()
    applied = {row[0] for row in rows}
    newest, known = max(applied, default=0), len(load_migrations())
    if newest > known:
        raise NewerSchema(
            f"the database has schema version {newest}, this program knows {known}: update the backend, or use "
            "another database"
        )
    return applied


async def _apply_missing(connection: AsyncConnection[Any], names: dict[str, sql.Composable], schema: str) -> None:
    await connection.execute(
        sql.SQL(
            "CREATE TABLE IF NOT EXISTS {schema}.rag_migrations "
            "(version integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        ).format(**names)
    )
    await connection.execute(sql.SQL("ALTER TABLE {schema}.rag_migrations ENABLE ROW LEVEL SECURITY").format(**names))
    applied = await _applied(connection, schema)
    for migration in load_migrations():
        if migration.version in applied:
            continue
        # The files are ours, not input.
        await connection.execute(sql.SQL(migration.script).format(**names))
        await connection.execute(
            sql.SQL("INSERT INTO {schema}.rag_migrations (version, name) VALUES (%s, %s)").format(**names),
            [migration.version, migration.name],
        )
        logger.info("applied database migration %04d %s", migration.version, migration.name)


async def _fit_dimension(
    connection: AsyncConnection[Any], names: dict[str, sql.Composable], dimension: int, schema: str
) -> None:
    """Empty and retype the vector column when its dimension differs from the embedding model's."""
    before = await _column_dimension(connection, schema)
    if before is None or before == dimension:
        return
    logger.warning("the embedding dimension is now %d, it was %d: all vectors will be made anew", dimension, before)
    await connection.execute(
        sql.SQL(
            "UPDATE {schema}.rag_documents SET embedding = NULL, embedding_fingerprint = NULL "
            "WHERE embedding_fingerprint IS NOT NULL"
        ).format(**names)
    )
    await connection.execute(
        sql.SQL(
            "ALTER TABLE {schema}.rag_documents ALTER COLUMN embedding TYPE {vector}.vector({dimension}) "
            "USING NULL::{vector}.vector({dimension})"
        ).format(**names)
    )


async def _column_dimension(connection: AsyncConnection[Any], schema: str) -> int | None:
    row = await (
        await connection.execute(
            "SELECT a.atttypmod FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid "
            "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = %s AND c.relname = 'rag_documents' AND a.attname = 'embedding'",
            [schema],
        )
    ).fetchone()
    return None if row is None else int(row[0])
