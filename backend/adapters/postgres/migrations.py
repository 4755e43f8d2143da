"""Forward-only schema migrations: numbered SQL files, each applied once, in order.

Several backends may start at once, also through a transaction pooler: everything happens in
one transaction under a transaction-scoped advisory lock.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import AsyncConnection, sql

from adapters.ports.store import StoreTooNew

logger = logging.getLogger(__name__)

MIGRATIONS_DIR = Path(__file__).resolve().parent.parent.parent / "migrations"
_LOCK_KEY = 0x7261675F646F6373  # "rag_docs" in ASCII: any fixed number no other program uses


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
    """Return the migrations of ``folder``, files named ``NNNN_words.sql``, by version."""
    return [
        Migration(int(path.stem[:4]), path.stem[5:], path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.sql"))
    ]


async def migrate(
    connection: AsyncConnection[Any], *, dimension: int, schema: str = "public", timeout_ms: int = 120_000
) -> SchemaInfo:
    """Apply missing migrations and fit the vector column to ``dimension``.

    A complete schema is only read, which requires no right to change it. Raises ``StoreTooNew`` when
    the database is newer than this program, and psycopg's errors.
    """
    async with connection.transaction():
        await connection.execute(sql.SQL("SET LOCAL statement_timeout = {}").format(timeout_ms))
        info = await _installed_extension(connection)
        if info is not None and await _is_complete(_Schema(connection, schema, info, dimension)):
            return info
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK_KEY])
        info = await _installed_extension(connection) or await _made_extension(connection)
        place = _Schema(connection, schema, info, dimension)
        await _apply_missing(place)
        await _fit_dimension(place)
    return info


@dataclass(frozen=True, slots=True)
class _Schema:
    connection: AsyncConnection[Any]
    name: str
    info: SchemaInfo
    dimension: int

    async def run(self, text: str, parameters: Sequence[Any] | None = None) -> list[Any]:
        """Return the rows of a statement with the names in braces filled in."""
        names = {
            "schema": sql.Identifier(self.name),
            "vector": sql.Identifier(self.info.vector_schema),
            "dimension": sql.Literal(self.dimension),
        }
        cursor = await self.connection.execute(sql.SQL(text).format(**names), parameters)
        return await cursor.fetchall() if cursor.description else []


async def _installed_extension(connection: AsyncConnection[Any]) -> SchemaInfo | None:
    where = (
        "SELECT n.nspname, e.extversion FROM pg_catalog.pg_extension e "
        "JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'"
    )
    row = await (await connection.execute(where)).fetchone()
    return None if row is None else SchemaInfo(row[0], tuple(int(part) for part in re.findall(r"\d+", row[1])))


async def _made_extension(connection: AsyncConnection[Any]) -> SchemaInfo:
    # Supabase keeps extensions in a schema of this name; other databases have none.
    home = await connection.execute("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = 'extensions'")
    await connection.execute("CREATE EXTENSION vector" + (" SCHEMA extensions" if await home.fetchone() else ""))
    info = await _installed_extension(connection)
    assert info is not None
    return info


async def _is_complete(place: _Schema) -> bool:
    table = sql.SQL("{}.rag_migrations").format(sql.Identifier(place.name)).as_string(place.connection)
    readable = "SELECT to_regclass(%s) IS NOT NULL AND has_table_privilege(to_regclass(%s), 'SELECT')"
    return (
        await place.run(readable, [table, table]) == [(True,)]
        and await _applied(place) == {migration.version for migration in load_migrations()}
        and await _column_dimension(place) == place.dimension
    )


async def _applied(place: _Schema) -> set[int]:
    """Return the applied versions; raise ``StoreTooNew`` for an unknown one."""
    applied = {row[0] for row in await place.run("SELECT version FROM {schema}.rag_migrations")}
    newest, known = max(applied, default=0), len(load_migrations())
    if newest > known:
        raise StoreTooNew(
            f"the database has schema version {newest}, this program knows {known}: update the backend, or use "
            "another database"
        )
    return applied


async def _apply_missing(place: _Schema) -> None:
    await place.run(
        "CREATE TABLE IF NOT EXISTS {schema}.rag_migrations "
        "(version integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    await place.run("ALTER TABLE {schema}.rag_migrations ENABLE ROW LEVEL SECURITY")
    applied = await _applied(place)
    for migration in load_migrations():
        if migration.version not in applied:
            await place.run(migration.script)
            done = "INSERT INTO {schema}.rag_migrations (version, name) VALUES (%s, %s)"
            await place.run(done, [migration.version, migration.name])
            logger.info("applied database migration %04d %s", migration.version, migration.name)


async def _fit_dimension(place: _Schema) -> None:
    """Empty and retype the vector column when its dimension differs from the embedding model's."""
    before = await _column_dimension(place)
    if before == place.dimension:
        return
    logger.warning(
        "the embedding dimension is now %d, it was %d: all vectors will be computed again", place.dimension, before
    )
    await place.run(
        "UPDATE {schema}.rag_documents SET embedding = NULL, embedding_fingerprint = NULL "
        "WHERE embedding_fingerprint IS NOT NULL"
    )
    await place.run(
        "ALTER TABLE {schema}.rag_documents ALTER COLUMN embedding TYPE {vector}.vector({dimension}) "
        "USING NULL::{vector}.vector({dimension})"
    )


async def _column_dimension(place: _Schema) -> int | None:
    rows = await place.run(
        "SELECT atttypmod FROM pg_catalog.pg_attribute "
        "WHERE attrelid = to_regclass('{schema}.rag_documents') AND attname = 'embedding'"
    )
    return rows[0][0] if rows else None
