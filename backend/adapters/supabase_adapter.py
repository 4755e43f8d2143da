"""Documents in Postgres with pgvector: Supabase's, or any other, or the embedded one."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from adapters.base import (
    Document,
    ParsedQuery,
    SearchHit,
    StoreStats,
    StoreTooNew,
    StoreUnavailable,
    UpsertReport,
    WrongDimension,
)
from adapters.database import Database, Dsn
from adapters.document_sql import (
    DELETE_MANY,
    HASHES,
    IDS_OF_SOURCE,
    PENDING,
    SET_VECTORS,
    STATS,
    UPSERT,
    content_hash,
    content_md5,
    upsert_parameter,
)
from adapters.migrations import MigrationError, NewerSchema, SchemaInfo, migrate
from adapters.search_sql import search_parameters, search_statement, vector_literal
from lexical.ranking import Candidate, rank
from observability.tracing import current, ended

logger = logging.getLogger(__name__)
_ANALYZE_ROWS, _ANALYZE_SHARE = 500, 0.2
_SEARCH_SPAN = {
    "db.system.name": "postgresql",
    "db.operation.name": "SELECT",
    "db.collection.name": "documents",
}
_START_S = 180.0
"""For connecting and for migrations, which may rewrite a large table."""


class SupabaseAdapter:
    """A ``DocumentStore`` over a bounded connection pool.

    Works through transaction poolers (no prepared statements, no session state) and heals by
    itself when the database comes back.

    Args:
        dsn: connection string, or an async function that returns one whenever a connection is made.
        dimension: of the embedding vectors.
        pool_size: connections at most.
        timeout_s: for getting a connection, in seconds.
        statement_timeout_s: for each statement, in seconds; by default ``timeout_s``.
        schema: where the tables live.
        own_loop: run psycopg on an event loop of its own; by default only where the caller's
            loop cannot carry it (Windows).

    """

    def __init__(
        self,
        dsn: Dsn,
        *,
        dimension: int = 384,
        pool_size: int = 8,
        timeout_s: float = 5.0,
        statement_timeout_s: float | None = None,
        schema: str = "public",
        own_loop: bool | None = None,
    ) -> None:
        self._database = Database(
            dsn,
            pool_size=pool_size,
            timeout_s=timeout_s,
            statement_timeout_s=timeout_s if statement_timeout_s is None else statement_timeout_s,
            own_loop=own_loop,
        )
        self._dimension = dimension
        self._schema = schema
        self._info: SchemaInfo | None = None
        self._starting: asyncio.Task[SchemaInfo] | None = None
        self._total = 0
        self._written = 0
        self._closed = False

    async def start(self) -> None:
        """Open the pool and migrate the schema; does nothing the second time.

        Every other method does this first, so a database that is down now is used once it is
        up. Raises ``StoreUnavailable``.
        """
        self._closed = False
        await self._database.run(self._ready(), limit_s=_START_S)

    async def close(self) -> None:
        """Close every connection. Needed also after a failed ``start``: the pool's own tasks do not end
        when they are cancelled, and a loop that waits for them never ends either.
        """
        self._closed, self._info, self._starting = True, None, None
        await self._database.close()

    async def ping(self) -> None:
        """Raise ``StoreUnavailable`` unless the database answers."""
        await self._database.run(self._ping())

    async def search(
        self, query: ParsedQuery, vector: Sequence[float] | None, fingerprint: str | None, top_k: int
    ) -> list[SearchHit]:
        """Hybrid search, best first, in one round trip. A vector of another dimension than the
        store's is left aside. Raises ``StoreUnavailable``.
        """
        with ended(current().child("SELECT documents", "client")) as span:
            span.set(_SEARCH_SPAN)
            hits = await self._database.run(self._search(query, vector, fingerprint, top_k))
            span.set({"db.response.returned_rows": len(hits)})
            return hits

    async def upsert(self, documents: Sequence[Document]) -> UpsertReport:
        """Insert or replace by id, all or nothing; of two with one id the last counts."""
        return await self._database.run(self._upsert(documents), limit_s=self._database.patience_s(3))

    async def delete(self, document_id: str) -> bool:
        """Return whether the document was there."""
        return await self._database.run(self._delete(document_id))

    async def delete_many(self, ids: Sequence[str]) -> int:
        """Delete all of them or none; return how many were there."""
        return await self._database.run(self._delete_many(ids))

    async def ids_of_source(self, source: str) -> list[str]:
        """Return the ids of the documents whose ``metadata.source`` is ``source``."""
        return await self._database.run(self._ids_of_source(source))

    async def pending(self, fingerprint: str, limit: int) -> list[tuple[str, str]]:
        """Return up to ``limit`` (id, content) without a vector of this fingerprint."""
        return await self._database.run(self._pending(fingerprint, limit))

    async def set_vectors(
        self,
        ids: Sequence[str],
        vectors: Sequence[Sequence[float]],
        fingerprint: str,
        contents: Sequence[str] | None = None,
    ) -> None:
        """Store vectors of documents that are still there and, with ``contents``, unchanged."""
        await self._database.run(
            self._set_vectors(ids, vectors, fingerprint, contents), limit_s=self._database.patience_s(2)
        )

    async def stats(self, fingerprint: str | None) -> StoreStats:
        """Count the documents; without a fingerprint, those without any vector are pending."""
        return await self._database.run(self._stats(fingerprint))

    # -- what runs on psycopg's loop --------------------------------------------------------------

    async def _ready(self) -> SchemaInfo:
        if self._closed:
            raise StoreUnavailable("the document store is closed")
        if self._info is not None:
            return self._info
        # One start for all who wait: were they to try one after the other, the last would wait for all.
        if self._starting is None or self._starting.done():
            self._starting = asyncio.create_task(self._database.limited(self._start(), _START_S))
        return await asyncio.shield(self._starting)

    async def _start(self) -> SchemaInfo:
        await self._database.open()
        async with self._database.connection() as connection:
            with _schema_errors():
                info = await migrate(connection, dimension=self._dimension, schema=self._schema)
            counted = self._sql("SELECT count(*) FROM {schema}.rag_documents")
            row = await (await connection.execute(counted)).fetchone()
        self._total = row[0] if row else 0
        self._info = info
        return info

    async def _ping(self) -> None:
        await self._ready()
        async with self._database.connection() as connection:
            await connection.execute("SELECT 1")

    async def _search(
        self, query: ParsedQuery, vector: Sequence[float] | None, fingerprint: str | None, top_k: int
    ) -> list[SearchHit]:
        info = await self._ready()
        if vector is not None and (fingerprint is None or len(vector) != self._dimension):
            logger.warning("query vector of dimension %d left aside, the store has %d", len(vector), self._dimension)
            vector = None
        if top_k < 1 or (not query.phrase and vector is None):
            return []
        statement = search_statement(
            self._schema, info, with_vector=vector is not None, timeout_ms=self._database.timeout_ms
        )
        async with self._database.connection() as connection:
            # Client-side binding is what lets several statements travel in one message.
            cursor = psycopg.AsyncClientCursor(connection, row_factory=dict_row)
            await cursor.execute(statement, search_parameters(query, vector, fingerprint))
            while cursor.nextset():
                pass
            rows = await cursor.fetchall()
        return rank(query, [Candidate(**row) for row in rows], max(self._total, len(rows)), top_k)

    async def _upsert(self, documents: Sequence[Document]) -> UpsertReport:
        await self._ready()
        latest = {document.id: document for document in documents}
        async with self._database.transaction() as connection:
            known = dict(await (await connection.execute(self._sql(HASHES), [list(latest)])).fetchall())
        changed = [document for document in latest.values() if known.get(document.id) != content_hash(document)]
        if not changed:
            return UpsertReport(0, 0, len(documents))
        # Folding and stemming hundreds of documents takes long enough to keep questions waiting.
        parameter = await asyncio.to_thread(upsert_parameter, changed)
        async with self._database.transaction() as connection:
            cursor = await connection.execute(self._sql(UPSERT), [parameter])
            written = [row[0] for row in await cursor.fetchall()]
        await self._note_written(len(written))
        inserted = sum(written)
        self._total += inserted
        return UpsertReport(inserted, len(written) - inserted, len(documents) - len(written))

    async def _delete(self, document_id: str) -> bool:
        return await self._delete_many([document_id]) > 0

    async def _delete_many(self, ids: Sequence[str]) -> int:
        await self._ready()
        async with self._database.transaction() as connection:
            cursor = await connection.execute(self._sql(DELETE_MANY), [list(ids)])
        self._total -= cursor.rowcount
        return cursor.rowcount

    async def _ids_of_source(self, source: str) -> list[str]:
        await self._ready()
        async with self._database.transaction() as connection:
            cursor = await connection.execute(self._sql(IDS_OF_SOURCE), [source])
            return [row[0] for row in await cursor.fetchall()]

    async def _pending(self, fingerprint: str, limit: int) -> list[tuple[str, str]]:
        await self._ready()
        parameters = {"fingerprint": fingerprint, "limit": limit}
        async with self._database.transaction() as connection:
            return await (await connection.execute(self._sql(PENDING), parameters)).fetchall()

    async def _set_vectors(
        self,
        ids: Sequence[str],
        vectors: Sequence[Sequence[float]],
        fingerprint: str,
        contents: Sequence[str] | None,
    ) -> None:
        wrong = next((len(vector) for vector in vectors if len(vector) != self._dimension), None)
        if wrong is not None:
            raise WrongDimension(
                f"the embedding model makes vectors of dimension {wrong}, the store is set to {self._dimension}: set "
                f"EMBEDDING_DIMENSION={wrong}, and all vectors are made anew"
            )
        if len(ids) != len(vectors) or (contents is not None and len(contents) != len(ids)):
            raise ValueError("ids, vectors and contents differ in number")
        await self._ready()
        hashes = [None] * len(ids) if contents is None else [content_md5(content) for content in contents]
        literals = [vector_literal(vector) for vector in vectors]
        async with self._database.transaction() as connection:
            await connection.execute(self._sql(SET_VECTORS), [fingerprint, list(ids), literals, hashes])
        await self._note_written(len(ids))

    async def _stats(self, fingerprint: str | None) -> StoreStats:
        await self._ready()
        async with self._database.transaction() as connection:
            rows = await (await connection.execute(self._sql(STATS), {"fingerprint": fingerprint})).fetchall()
        by_kind: dict[str, int] = {}
        by_direction: dict[str, int] = {}
        by_fingerprint: dict[str, int] = {}
        for kind, direction, found, count, _ in rows:
            by_kind[kind] = by_kind.get(kind, 0) + count
            if direction is not None:
                by_direction[direction] = by_direction.get(direction, 0) + count
            if found is not None:
                by_fingerprint[found] = by_fingerprint.get(found, 0) + count
        self._total = sum(by_kind.values())
        most = max(by_fingerprint, key=lambda key: by_fingerprint[key], default=None)
        return StoreStats(self._total, by_kind, by_direction, most, sum(row[4] for row in rows))

    async def _note_written(self, rows: int) -> None:
        """Renew the planner's statistics once much has changed: the server's own turn comes up to a minute
        later, and until then searches go through whole tables.
        """
        self._written += rows
        if self._written < max(_ANALYZE_ROWS, _ANALYZE_SHARE * self._total):
            return
        self._written = 0
        async with self._database.transaction() as connection:
            await connection.execute(self._sql("ANALYZE {schema}.rag_documents"))

    def _sql(self, text: str) -> sql.Composed:
        vector = self._info.vector_schema if self._info is not None else "public"
        return sql.SQL(text).format(schema=sql.Identifier(self._schema), vector=sql.Identifier(vector))


@contextmanager
def _schema_errors() -> Iterator[None]:
    try:
        yield
    except NewerSchema as error:
        raise StoreTooNew(str(error)) from error
    except MigrationError as error:
        raise StoreUnavailable(str(error)) from error
    except (psycopg.OperationalError, psycopg.InterfaceError):
        raise
    except psycopg.Error as error:
        raise StoreUnavailable(
            f"the database schema cannot be prepared ({type(error).__name__}: {error}); the user of DATABASE_URL must "
            "be allowed to create tables, or find them made and open to it (docs/supabase.md), and the extension "
            "'vector' must be available"
        ) from error
