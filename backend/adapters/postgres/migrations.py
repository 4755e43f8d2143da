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
from adapters.postgres.names import Names

logger = logging.getLogger(__name__)

MIGRATIONS_DIR = Path(__file__).resolve().parent.parent.parent / "migrations"
_LOCK_KEY = 0x7261675F646F6373  # "rag_docs" in ASCII: any fixed number no other program uses
_TIMEOUT_MS = 120_000
_Extension = tuple[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of ``backend/migrations``."""

    version: int
    name: str
    script: str


def load_migrations() -> list[Migration]:
    """Return the migrations, files named ``NNNN_words.sql``, by version."""
    return [
        Migration(int(path.stem[:4]), path.stem[5:], path.read_text(encoding="utf-8"))
        for path in sorted(MIGRATIONS_DIR.glob("*.sql"))
    ]


async def migrate(connection: AsyncConnection[Any], languages: tuple[str, ...], *, dimension: int) -> Names:
    """Apply missing migrations and fit the vector column to ``dimension``; return the names that statements need.

    A complete schema is only read, which requires no right to change it. Raises ``StoreTooNew`` when
    the database is newer than this program, and psycopg's errors.
    """
    async with connection.transaction():
        await connection.execute(sql.SQL("SET LOCAL statement_timeout = {}").format(_TIMEOUT_MS))
        vector = await _installed_extension(connection)
        if vector is not None:
            place = _Schema(connection, Names(*vector, languages), dimension)
            if await _is_complete(place):
                return place.names
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK_KEY])
        vector = await _installed_extension(connection) or await _made_extension(connection)
        place = _Schema(connection, Names(*vector, languages), dimension)
        await _apply_missing(place)
        await _fit_dimension(place)
    return place.names


@dataclass(frozen=True, slots=True)
class _Schema:
    connection: AsyncConnection[Any]
    names: Names
    dimension: int

    async def run(self, text: str, parameters: Sequence[Any] | None = None) -> list[Any]:
        """Return the rows of a statement with the names in braces filled in."""
        statement = self.names.sql(text, dimension=sql.Literal(self.dimension))
        cursor = await self.connection.execute(statement, parameters)
        return await cursor.fetchall() if cursor.description else []


async def _installed_extension(connection: AsyncConnection[Any]) -> _Extension | None:
    """Return schema and version of pgvector."""
    where = (
        "SELECT n.nspname, e.extversion FROM pg_catalog.pg_extension e "
        "JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'"
    )
    row = await (await connection.execute(where)).fetchone()
    return None if row is None else (row[0], tuple(int(part) for part in re.findall(r"\d+", row[1])))


async def _made_extension(connection: AsyncConnection[Any]) -> _Extension:
    # Supabase keeps extensions in a schema of this name; other databases have none.
    home = await connection.execute("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = 'extensions'")
    await connection.execute("CREATE EXTENSION vector" + (" SCHEMA extensions" if await home.fetchone() else ""))
    made = await _installed_extension(connection)
    assert made is not None
    return made


async def _is_complete(place: _Schema) -> bool:
    table = "to_regclass('public.rag_migrations')"
    return (
        await place.run(f"SELECT {table} IS NOT NULL AND has_table_privilege({table}, 'SELECT')") == [(True,)]
        and await _applied(place) == {migration.version for migration in load_migrations()}
        and await _column_dimension(place) == place.dimension
    )


async def _applied(place: _Schema) -> set[int]:
    """Return the applied versions; raise ``StoreTooNew`` for an unknown one."""
    applied = {row[0] for row in await place.run("SELECT version FROM public.rag_migrations")}
    newest, known = max(applied, default=0), len(load_migrations())
    if newest > known:
        raise StoreTooNew(
            f"the database has schema version {newest}, this program knows {known}: update the backend, or use "
            "another database"
        )
    return applied


async def _apply_missing(place: _Schema) -> None:
    await place.run(
        "CREATE TABLE IF NOT EXISTS public.rag_migrations "
        "(version integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    await place.run("ALTER TABLE public.rag_migrations ENABLE ROW LEVEL SECURITY")
    applied = await _applied(place)
    for migration in load_migrations():
        if migration.version not in applied:
            await place.run(migration.script)
            done = "INSERT INTO public.rag_migrations (version, name) VALUES (%s, %s)"
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
        "UPDATE public.rag_documents SET embedding = NULL, embedding_fingerprint = NULL "
        "WHERE embedding_fingerprint IS NOT NULL"
    )
    await place.run(
        "ALTER TABLE public.rag_documents ALTER COLUMN embedding TYPE {vector}.vector({dimension}) "
        "USING NULL::{vector}.vector({dimension})"
    )


async def _column_dimension(place: _Schema) -> int | None:
    rows = await place.run(
        "SELECT atttypmod FROM pg_catalog.pg_attribute "
        "WHERE attrelid = to_regclass('public.rag_documents') AND attname = 'embedding'"
    )
    return rows[0][0] if rows else None
