"""Vector indexes: a large load drops them and builds them once at its end.

Building an HNSW index at the end is several times faster per vector than inserting into it. Without an index, a search
by vector compares every vector: slower, with the same results. So after a killed load everything stored is still found,
and the next load, or the backend, builds the missing indexes.
"""

import logging
from typing import Final

from psycopg import errors, sql

from adapters.postgres.database import Connection
from adapters.postgres.store import Store, in_database

logger = logging.getLogger(__name__)

_INDEXES: Final = {"rag_documents_embedding": "kind <> 'text'", "rag_documents_text_embedding": "kind = 'text'"}
_LEAST_ROWS: Final = 1_000
_LEAST_SHARE: Final = 0.5
"""Share of all documents; for a smaller load, building the index takes longer than writing into it."""
_MOST_ROWS: Final = 50_000
"""Documents among which a search compares every vector in time."""
_BUILD_STATEMENTS: Final = 100
"""How many statements' time building may take."""
_FOUND = """
SELECT c.relname, i.indisvalid FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = 'public.rag_documents'::regclass AND c.relname = ANY (%s::text[])
"""
# CONCURRENTLY: reads and writes are not blocked.
_BUILD = """
CREATE INDEX CONCURRENTLY {name} ON public.rag_documents
USING hnsw (embedding {vector}.vector_cosine_ops) WHERE {condition}
"""
_NOT_NOW = (errors.LockNotAvailable, errors.InsufficientPrivilege, errors.QueryCanceled, errors.DuplicateTable)
"""Another connection uses or builds the index, or the user's rights or the time limit do not allow it."""


class VectorIndexes(Store):
    """Drops and builds the vector indexes; where that is not allowed, they stay as they are."""

    @in_database(statements=2)
    async def begin_vectors(self, count: int, documents: int) -> None:
        """Prepare for writing ``count`` vectors: where building the indexes at the end takes less than keeping them,
        drop them. ``documents``: how many the store has then.
        """
        if not (max(_LEAST_ROWS, _LEAST_SHARE * documents) <= count <= documents <= _MOST_ROWS):
            return
        async with self.database.connection() as connection:
            try:
                await self._drop(connection, list(_INDEXES))
            except _NOT_NOW as error:
                logger.info("vector indexes stay during the load: %s", type(error).__name__)

    @in_database(statements=_BUILD_STATEMENTS)
    async def end_vectors(self) -> None:
        """Build the vector indexes that are missing or were not finished."""
        async with self.database.connection() as connection:
            cursor = await connection.execute(self.names.sql(_FOUND), [list(_INDEXES)])
            found = dict(await cursor.fetchall())
            for name in (name for name in _INDEXES if not found.get(name)):
                try:
                    if name in found:
                        await self._drop(connection, [name])
                    condition = sql.SQL(_INDEXES[name])
                    await connection.execute(self.names.sql(_BUILD, name=sql.Identifier(name), condition=condition))
                except _NOT_NOW as error:
                    logger.warning("vector index %s is not built now: %s", name, type(error).__name__)

    async def _drop(self, connection: Connection, names: list[str]) -> None:
        listed = sql.SQL(", ").join(sql.Identifier("public", name) for name in names)
        async with connection.transaction():
            await connection.execute("SET LOCAL lock_timeout = '2s'")
            await connection.execute(sql.SQL("DROP INDEX IF EXISTS {}").format(listed))
