"""The table of documents: writing, deleting, counting, and the vectors."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence

from adapters.ports.documents import Document, SearchHit
from adapters.ports.store import Source, StoreStats, UpsertReport, WrongDimension
from adapters.postgres.names import passage_words, vector_literal
from adapters.postgres.store import Store, in_database
from adapters.postgres.tables.document_rows import content_hash, upsert_parameter
from adapters.postgres.tables.word_list import DELETE_WORDS, INSERT_WORDS, LAST_CHARACTER

_ANALYZE_ROWS, _ANALYZE_SHARE = 500, 0.2

UPSERT = """
INSERT INTO public.rag_documents AS d (id, kind, content, metadata, content_hash, direction, lemma_keys, gloss_keys,
    near_keys, text_a, text_b, text_c, stem_a, stem_b, stem_c, passage_text, passage_languages, passage_words)
SELECT id, kind, content, metadata, content_hash, direction, lemma_keys, gloss_keys, near_keys,
    text_a, text_b, text_c, stem_a, stem_b, stem_c, passage_text, {languages}, {passage_words}
FROM jsonb_to_recordset(%s::jsonb) AS r(id text, kind text, content text, metadata jsonb, content_hash text,
    direction text, lemma_keys text[], gloss_keys text[], near_keys integer[], text_a text, text_b text, text_c text,
    stem_a text, stem_b text, stem_c text, passage_text text)
ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, content = excluded.content, metadata = excluded.metadata,
    content_hash = excluded.content_hash, direction = excluded.direction, lemma_keys = excluded.lemma_keys,
    gloss_keys = excluded.gloss_keys, near_keys = excluded.near_keys, text_a = excluded.text_a,
    text_b = excluded.text_b, text_c = excluded.text_c, stem_a = excluded.stem_a, stem_b = excluded.stem_b,
    stem_c = excluded.stem_c, passage_text = excluded.passage_text, passage_languages = excluded.passage_languages,
    passage_words = excluded.passage_words, updated_at = now(),
    embedding = CASE WHEN d.content = excluded.content THEN d.embedding END,
    embedding_fingerprint = CASE WHEN d.content = excluded.content THEN d.embedding_fingerprint END
WHERE d.content_hash <> excluded.content_hash
RETURNING (xmax = 0) AS inserted
"""
# One statement: entries by lemma, then by gloss, each read from its index in order.
_WITH_PREFIX = """
(SELECT id, kind, content, 'SIDE', metadata FROM public.rag_documents
 WHERE kind = 'dictionary' AND metadata ->> 'part' IS DISTINCT FROM 'example'
   AND SIDE_keys[1] COLLATE "C" >= %(first)s AND SIDE_keys[1] COLLATE "C" < %(after)s
 ORDER BY SIDE_keys[1] COLLATE "C" LIMIT %(limit)s)
"""
WITH_PREFIX = "UNION ALL".join(_WITH_PREFIX.replace("SIDE", side) for side in ("lemma", "gloss"))
HASHES = "SELECT id, content_hash FROM public.rag_documents WHERE id = ANY(%s::text[])"
SET_VECTORS = """
UPDATE public.rag_documents AS d SET embedding = v.vector::{vector}.vector, embedding_fingerprint = %s
FROM unnest(%s::text[], %s::text[], %s::text[]) AS v(id, vector, content)
WHERE d.id = v.id AND (v.content IS NULL OR d.content = v.content)
"""
DELETE_MANY = "DELETE FROM public.rag_documents WHERE id = ANY(%s::text[])"
# Runs once per ingested file: not worth an index.
OF_SOURCE = "SELECT id, content FROM public.rag_documents WHERE metadata ->> 'source' = %s ORDER BY id"
# Reads the whole table.
SOURCES = """
SELECT source, jsonb_object_agg(kind, documents), sum(documents)::bigint, sum(from_file)::bigint, max(changed_at)
FROM (
    SELECT coalesce(metadata ->> 'source', '') AS source, kind, count(*) AS documents,
        count(*) FILTER (WHERE id ~ %(from_file)s) AS from_file, max(updated_at) AS changed_at
    FROM public.rag_documents GROUP BY 1, 2
) AS kinds
GROUP BY source ORDER BY max(changed_at) DESC, source LIMIT %(limit)s
"""
MAX_SOURCES = 1_000
# The first half has its own index; the second is read only when the first yields too few rows.
PENDING = """
(SELECT id, content FROM public.rag_documents WHERE embedding_fingerprint IS NULL ORDER BY id LIMIT %(limit)s)
UNION ALL
(SELECT id, content FROM public.rag_documents WHERE embedding_fingerprint <> %(fingerprint)s ORDER BY id
 LIMIT %(limit)s)
LIMIT %(limit)s
"""
STATS = """
SELECT kind, direction, embedding_fingerprint, count(*),
    count(*) FILTER (WHERE CASE WHEN %(fingerprint)s::text IS NULL THEN embedding_fingerprint IS NULL
                           ELSE embedding_fingerprint IS DISTINCT FROM %(fingerprint)s END),
    count(*) FILTER (WHERE kind = 'dictionary' AND metadata ->> 'part' IS DISTINCT FROM 'example')
FROM public.rag_documents GROUP BY 1, 2, 3
"""


class Documents(Store):
    """Writes documents and reads them, each method in a transaction or two."""

    _written = 0

    @in_database()
    async def with_prefix(self, prefix: str, limit: int) -> list[SearchHit]:
        """Return entries whose first lemma key or gloss key begins with ``prefix``; up to ``limit`` of each."""
        rows = await self.rows(WITH_PREFIX, {"first": prefix, "after": prefix + LAST_CHARACTER, "limit": limit})
        return [SearchHit(name, kind, content, 1.0, (on,), meta) for name, kind, content, on, meta in rows]

    @in_database(statements=3)
    async def upsert(self, documents: Sequence[Document]) -> UpsertReport:
        """Insert or replace by id, all or nothing; the last of several documents with one id wins."""
        known, latest = await self._known(documents)
        changed = [each for each in latest if known.get(each.id) != content_hash(each, self.index)]
        if not changed:
            return UpsertReport(0, 0, len(documents))
        # Folding and stemming hundreds of documents would block the event loop noticeably.
        parameter = await asyncio.to_thread(upsert_parameter, changed, self.index)
        statement = self.names.sql(UPSERT, passage_words=passage_words(self.names.languages))
        async with self.database.transaction() as connection:
            written = [row[0] for row in await (await connection.execute(statement, [parameter])).fetchall()]
            # The rows are locked, so no other transaction changes their words.
            await connection.execute(DELETE_WORDS, [[document.id for document in changed]])
            await connection.execute(INSERT_WORDS, [parameter])
        await self._note_written(len(written))
        inserted = sum(written)
        self.total += inserted
        return UpsertReport(inserted, len(written) - inserted, len(documents) - len(written))

    @in_database()
    async def compare(self, documents: Sequence[Document]) -> UpsertReport:
        """Return the report of an ``upsert`` without storing anything."""
        known, latest = await self._known(documents)
        inserted = sum(each.id not in known for each in latest)
        same = sum(known.get(each.id) == content_hash(each, self.index) for each in latest)
        updated = len(latest) - inserted - same
        return UpsertReport(inserted, updated, len(documents) - inserted - updated)

    async def delete(self, document_id: str) -> bool:
        """Delete a document; return whether it existed."""
        return await self.delete_many([document_id]) > 0

    @in_database()
    async def delete_many(self, ids: Sequence[str]) -> int:
        """Delete documents, all or nothing; return how many existed."""
        async with self.database.transaction() as connection:
            cursor = await connection.execute(DELETE_MANY, [list(ids)])
        self.total -= cursor.rowcount
        return cursor.rowcount

    @in_database()
    async def documents_of_source(self, source: str) -> dict[str, str]:
        """Return ids and contents of the documents whose ``metadata.source`` is ``source``."""
        return dict(await self.rows(OF_SOURCE, [source]))

    @in_database()
    async def sources(self, from_file: str) -> list[Source]:
        """Return up to ``MAX_SOURCES`` sources, the last changed first."""
        parameters = {"from_file": f"^(?:{from_file})$", "limit": MAX_SOURCES}
        return [Source(*row) for row in await self.rows(SOURCES, parameters)]

    @in_database()
    async def pending(self, fingerprint: str, limit: int) -> list[tuple[str, str]]:
        """Return up to ``limit`` (id, content) without a vector of this fingerprint."""
        return await self.rows(PENDING, {"fingerprint": fingerprint, "limit": limit})

    @in_database(statements=2)
    async def set_vectors(
        self,
        ids: Sequence[str],
        vectors: Sequence[Sequence[float]],
        fingerprint: str,
        contents: Sequence[str] | None = None,
    ) -> None:
        """Store vectors, skipping documents that were deleted or, where ``contents`` (the embedded texts) is given,
        changed in the meantime. Raises ``WrongDimension``.
        """
        wrong = next((len(vector) for vector in vectors if len(vector) != self.dimension), None)
        if wrong is not None:
            raise WrongDimension(
                f"the embedding model makes vectors of dimension {wrong}, the store is set to {self.dimension}: set "
                f"EMBEDDING_DIMENSION={wrong}, and all vectors are computed again"
            )
        embedded = [None] * len(ids) if contents is None else list(contents)
        parameters = [fingerprint, list(ids), [vector_literal(vector) for vector in vectors], embedded]
        async with self.database.transaction() as connection:
            await connection.execute(self.names.sql(SET_VECTORS), parameters)
        await self._note_written(len(ids))

    @in_database()
    async def stats(self, fingerprint: str | None) -> StoreStats:
        """Count the documents; without a fingerprint, those without any vector are pending."""
        rows = await self.rows(STATS, {"fingerprint": fingerprint})
        by_kind, by_direction, by_fingerprint = Counter[str](), Counter[str](), Counter[str]()
        for kind, direction, found, count, *_ in rows:
            by_kind[kind] += count
            if direction is not None:
                by_direction[direction] += count
            if found is not None:
                by_fingerprint[found] += count
        self.total = by_kind.total()
        most = max(by_fingerprint, key=by_fingerprint.__getitem__, default=None)
        pending, entries = sum(row[4] for row in rows), sum(row[5] for row in rows)
        return StoreStats(self.total, by_kind, by_direction, most, pending, entries)

    async def _known(self, documents: Sequence[Document]) -> tuple[Mapping[str, str], list[Document]]:
        """Return the stored content hashes by id, and the documents, of several with one id the last."""
        latest = {document.id: document for document in documents}
        return dict(await self.rows(HASHES, [list(latest)])), list(latest.values())

    async def _note_written(self, rows: int) -> None:
        """Run ANALYZE after many changes: autovacuum starts up to a minute later, and until then the
        planner scans whole tables.
        """
        self._written += rows
        if self._written < max(_ANALYZE_ROWS, _ANALYZE_SHARE * self.total):
            return
        self._written = 0
        async with self.database.transaction() as connection:
            await connection.execute("ANALYZE public.rag_documents")
