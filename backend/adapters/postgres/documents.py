"""The table of documents: writing, deleting, counting, and the vectors."""

import asyncio
from collections.abc import Sequence

from psycopg.rows import class_row

from adapters.base import Document, SearchHit, StoredSource, StoreStats, TextIndex, UpsertReport
from adapters.postgres.database import Database
from adapters.postgres.document_sql import (
    DELETE_MANY,
    HASHES,
    MAX_SOURCES,
    OF_SOURCE,
    PENDING,
    SET_VECTORS,
    SOURCES,
    STATS,
    UPSERT,
    WITH_PREFIX,
    content_hash,
    content_md5,
    prefix_parameters,
    upsert_parameter,
)
from adapters.postgres.list_sql import DELETE_WORDS, INSERT_WORDS
from adapters.postgres.names import Names, passage_words, vector_literal

_ANALYZE_ROWS, _ANALYZE_SHARE = 500, 0.2


class Documents:
    """Runs the statements about documents, each method in a transaction or two.

    Args:
        database: the connections.
        names: where the table lives.
        index: keys and words of a document.
        total: documents in the table when this object is made.

    """

    def __init__(self, database: Database, names: Names, index: TextIndex, total: int) -> None:
        self._database = database
        self._names = names
        self._index = index
        self._written = 0
        self.total = total
        """Documents in the table, as far as this process knows."""

    async def with_prefix(self, prefix: str, limit: int) -> list[SearchHit]:
        """Return entries by the beginning of their first lemma key or gloss key."""
        async with self._database.transaction() as connection:
            cursor = await connection.execute(self._names.sql(WITH_PREFIX), prefix_parameters(prefix, limit))
            rows = await cursor.fetchall()
        return [SearchHit(name, kind, content, 1.0, (on,), meta) for name, kind, content, on, meta in rows]

    async def upsert(self, documents: Sequence[Document]) -> UpsertReport:
        """Insert or replace by id, all or nothing."""
        latest = {document.id: document for document in documents}
        async with self._database.transaction() as connection:
            known = dict(await (await connection.execute(self._names.sql(HASHES), [list(latest)])).fetchall())
        changed = [each for each in latest.values() if known.get(each.id) != content_hash(each, self._index)]
        if not changed:
            return UpsertReport(0, 0, len(documents))
        # Folding and stemming hundreds of documents would block the event loop noticeably.
        parameter = await asyncio.to_thread(upsert_parameter, changed, self._index)
        statement = self._names.sql(UPSERT, passage_words=passage_words(self._names.languages))
        async with self._database.transaction() as connection:
            written = [row[0] for row in await (await connection.execute(statement, [parameter])).fetchall()]
            # The rows are locked: nobody else changes their words meanwhile.
            await connection.execute(self._names.sql(DELETE_WORDS), [[document.id for document in changed]])
            await connection.execute(self._names.sql(INSERT_WORDS), [parameter])
        await self._note_written(len(written))
        inserted = sum(written)
        self.total += inserted
        return UpsertReport(inserted, len(written) - inserted, len(documents) - len(written))

    async def compare(self, documents: Sequence[Document]) -> UpsertReport:
        """Return what an upsert would do."""
        latest = {document.id: document for document in documents}
        async with self._database.transaction() as connection:
            known = dict(await (await connection.execute(self._names.sql(HASHES), [list(latest)])).fetchall())
        inserted = sum(name not in known for name in latest)
        same = sum(known.get(each.id) == content_hash(each, self._index) for each in latest.values())
        updated = len(latest) - inserted - same
        return UpsertReport(inserted, updated, len(documents) - inserted - updated)

    async def delete_many(self, ids: Sequence[str]) -> int:
        """Delete documents, all or nothing; return how many existed."""
        async with self._database.transaction() as connection:
            cursor = await connection.execute(self._names.sql(DELETE_MANY), [list(ids)])
        self.total -= cursor.rowcount
        return cursor.rowcount

    async def of_source(self, source: str) -> dict[str, str]:
        """Return ids and contents of a source's documents."""
        async with self._database.transaction() as connection:
            return dict(await (await connection.execute(self._names.sql(OF_SOURCE), [source])).fetchall())

    async def sources(self, pattern: str) -> list[StoredSource]:
        """Return up to ``MAX_SOURCES`` sources and kinds, with the number of ids that match ``pattern``."""
        parameters = {"pattern": f"^(?:{pattern})$", "limit": MAX_SOURCES}
        async with self._database.transaction() as connection:
            cursor = connection.cursor(row_factory=class_row(StoredSource))
            return await (await cursor.execute(self._names.sql(SOURCES), parameters)).fetchall()

    async def pending(self, fingerprint: str, limit: int) -> list[tuple[str, str]]:
        """Return up to ``limit`` (id, content) without a vector of this fingerprint."""
        parameters = {"fingerprint": fingerprint, "limit": limit}
        async with self._database.transaction() as connection:
            return await (await connection.execute(self._names.sql(PENDING), parameters)).fetchall()

    async def set_vectors(
        self,
        ids: Sequence[str],
        vectors: Sequence[Sequence[float]],
        fingerprint: str,
        contents: Sequence[str] | None,
    ) -> None:
        """Store vectors of documents that are still there and, with ``contents``, unchanged."""
        hashes = [None] * len(ids) if contents is None else [content_md5(content) for content in contents]
        literals = [vector_literal(vector) for vector in vectors]
        async with self._database.transaction() as connection:
            await connection.execute(self._names.sql(SET_VECTORS), [fingerprint, list(ids), literals, hashes])
        await self._note_written(len(ids))

    async def stats(self, fingerprint: str | None) -> StoreStats:
        """Count the documents."""
        async with self._database.transaction() as connection:
            rows = await (await connection.execute(self._names.sql(STATS), {"fingerprint": fingerprint})).fetchall()
        by_kind: dict[str, int] = {}
        by_direction: dict[str, int] = {}
        by_fingerprint: dict[str, int] = {}
        for kind, direction, found, count, *_ in rows:
            by_kind[kind] = by_kind.get(kind, 0) + count
            if direction is not None:
                by_direction[direction] = by_direction.get(direction, 0) + count
            if found is not None:
                by_fingerprint[found] = by_fingerprint.get(found, 0) + count
        self.total = sum(by_kind.values())
        most = max(by_fingerprint, key=lambda key: by_fingerprint[key], default=None)
        pending, entries = sum(row[4] for row in rows), sum(row[5] for row in rows)
        return StoreStats(self.total, by_kind, by_direction, most, pending, entries)

    async def _note_written(self, rows: int) -> None:
        """Run ANALYZE after many changes: autovacuum starts up to a minute later, and until then the
        planner scans whole tables.
        """
        self._written += rows
        if self._written < max(_ANALYZE_ROWS, _ANALYZE_SHARE * self.total):
            return
        self._written = 0
        async with self._database.transaction() as connection:
            await connection.execute(self._names.sql("ANALYZE {schema}.rag_documents"))
