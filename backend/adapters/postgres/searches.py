"""The searches of the dictionary and of texts: by words, then by vector, each in one round trip.

A search is one message with its settings, hence one implicit transaction: it works through a transaction pooler.
"""

import functools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import psycopg
from opentelemetry.trace import SpanKind
from psycopg import sql
from psycopg.rows import dict_row
from service_kit.observability import tracing

from adapters.ports.documents import SearchHit
from adapters.ports.search import Candidate, FoundEntries, FoundTexts, ParsedQuery, TextCandidate, TextTerm, Weighed
from adapters.postgres.database import Connection
from adapters.postgres.names import Names, configuration, passage_words, vector_literal
from adapters.postgres.store import Store, in_database

logger = logging.getLogger(__name__)
_Rows = list[dict[str, Any]]
_SEARCH_SPAN: Final = {
    "db.system.name": "postgresql",
    "db.operation.name": "SELECT",
    "db.collection.name": "documents",
}

# The planner cannot estimate how many rows match; where it expects many, it scans the whole table although every
# condition has an index. JIT compilation takes longer than any search.
_SETTINGS: Final = "SET LOCAL statement_timeout = {timeout_ms}; SET LOCAL enable_seqscan = off; SET LOCAL jit = off;"
# Rows of another fingerprint are discarded after the index scan, so the scan must continue until enough remain.
_ITERATIVE: Final = "SET LOCAL hnsw.iterative_scan = relaxed_order;"

BY_WORDS: Final = """
SELECT * FROM public.rag_search_words(%(terms)s::text[], %(accented)s::text[], %(whole)s::text[], %(parts)s::text[],
    %(near)s::integer[], %(near_terms)s::integer[])
"""
# Two results: how near what was found by words is, and what else is near.
BY_VECTOR: Final = """
SELECT id, {similarity} AS similarity FROM public.rag_documents d, {asked_vector}
WHERE id = ANY (%(found)s::text[]) AND {comparable};
WITH asked AS MATERIALIZED (
    SELECT t.ord, plainto_tsquery('pg_catalog.simple', t.folded)
        || plainto_tsquery('pg_catalog.spanish', t.folded)
        || plainto_tsquery('pg_catalog.spanish', t.accented) AS tsq
    FROM unnest(%(terms)s::text[], %(accented)s::text[]) WITH ORDINALITY AS t(folded, accented, ord)
),
nearest AS MATERIALIZED (
    SELECT id, {similarity} AS similarity FROM public.rag_documents d, {asked_vector}
    WHERE kind <> 'text' AND {comparable}
    ORDER BY d.embedding OPERATOR({vector}.<=>) asked_vector LIMIT 40
)
SELECT d.id, d.kind, d.content, d.metadata, d.direction, d.lemma_keys, d.gloss_keys, d.text_a, d.text_b, d.text_c,
    ARRAY(
        SELECT CASE WHEN w.a @@ t.tsq THEN 'a' WHEN w.b @@ t.tsq THEN 'b' WHEN w.words @@ t.tsq THEN 'c' ELSE '' END
        FROM asked t ORDER BY t.ord
    ) AS term_fields, nearest.similarity
FROM nearest JOIN public.rag_documents d USING (id),
    LATERAL (SELECT ts_filter(d.words, '{{a}}') AS a, ts_filter(d.words, '{{b}}') AS b, d.words OFFSET 0) AS w
WHERE id <> ALL (%(found)s::text[])
"""

# Texts hold a term in any of its languages. The totals are in each row; the only row's id is NULL when none is found.
TEXTS_BY_WORDS: Final = """
WITH asked AS MATERIALIZED (
    SELECT t.ord, {term_query} AS tsq
    FROM unnest(%(folded)s::text[], %(typed)s::text[]) WITH ORDINALITY AS t(folded, typed, ord)
),
terms AS MATERIALIZED (
    SELECT a.ord, a.tsq,
        (SELECT count(*) FROM (SELECT 1 FROM public.rag_documents c WHERE c.passage_words @@ a.tsq
                               LIMIT {max_counted}) AS counted) AS documents
    FROM asked a
),
total AS MATERIALIZED (SELECT count(*) AS texts FROM public.rag_documents WHERE kind = 'text'),
weighted AS MATERIALIZED (
    SELECT tsq, ln(1 + (texts - documents + 0.5) / (documents + 0.5)) AS weight
    FROM terms, total WHERE numnode(tsq) > 0 AND documents > 0 AND (documents < {max_counted} OR texts < {max_counted})
),
any_term AS MATERIALIZED (SELECT string_agg(tsq::text, ' | ')::tsquery AS tsq FROM weighted),
worded AS (
    SELECT d.id FROM public.rag_documents d, any_term
    WHERE d.passage_words @@ any_term.tsq
    ORDER BY (SELECT sum(w.weight) FROM weighted w WHERE d.passage_words @@ w.tsq) DESC,
        length(d.passage_words), d.id
    LIMIT 40
)
SELECT (SELECT texts FROM total) AS total, ARRAY(SELECT documents FROM terms ORDER BY ord) AS term_counts,
    d.id, d.content, d.metadata
FROM (SELECT 1) AS one LEFT JOIN (worded JOIN public.rag_documents d USING (id)) ON true
"""
MAX_COUNTED: Final = 2_000
"""Most texts in which a term is counted and ranked."""
TEXTS_BY_VECTOR: Final = """
SELECT id, {similarity} AS similarity FROM public.rag_documents d, {asked_vector}
WHERE id = ANY (%(found)s::text[]) AND {comparable};
WITH nearest AS MATERIALIZED (
    SELECT id, content, metadata, {similarity} AS similarity FROM public.rag_documents d, {asked_vector}
    WHERE kind = 'text' AND {comparable}
    ORDER BY d.embedding OPERATOR({vector}.<=>) asked_vector LIMIT 20
)
SELECT id, content, metadata, similarity FROM nearest WHERE id <> ALL (%(found)s::text[])
"""
_REINDEX: Final = """
UPDATE public.rag_documents SET passage_words = {passage_words}, passage_languages = {languages}
WHERE id IN (SELECT id FROM public.rag_documents WHERE kind = 'text' AND passage_languages <> {languages}
             ORDER BY id LIMIT {batch} FOR UPDATE)
"""
_BATCH: Final = 5_000


class Searches(Store):
    """Candidates from Postgres; those of the dictionary are ranked by the index."""

    async def search(self, query: ParsedQuery, top_k: int) -> FoundEntries:
        """Search by words; ``hits`` are the best, ranked. Raises ``StoreUnavailable``."""
        lookup = self.index.lookup(query)
        if not query.phrase:
            return FoundEntries(query, lookup, [], [])
        (rows,) = await self._fetch(BY_WORDS, lookup._asdict())
        weighed = self._weighed(query, [Candidate(**row) for row in rows])
        return FoundEntries(query, lookup, weighed, self.index.rank(weighed, {}, top_k))

    async def search_near(
        self, found: FoundEntries, vector: Sequence[float], fingerprint: str, top_k: int
    ) -> list[SearchHit]:
        """Return the best of the candidates found by words and of the documents near the vector. Ignores a vector whose
        dimension differs from the store's. Raises ``StoreUnavailable``.
        """
        if not self._fits(vector):
            return found.hits
        by_words = [each.candidate for each in found.weighed]
        asked = {"terms": found.lookup.terms, "accented": found.lookup.accented}
        known, others = await self._fetch(BY_VECTOR, asked | _near_parameters(by_words, vector, fingerprint))
        similarities = {row["id"]: row.pop("similarity") for row in (*known, *others)}
        # Words that found nothing are in no document.
        counts = by_words[0].term_counts if by_words else [0] * len(found.lookup.terms)
        near = self._weighed(found.query, [Candidate(**row, term_counts=counts) for row in others])
        return self.index.rank([*found.weighed, *near], similarities, top_k)

    async def search_texts(self, terms: Sequence[TextTerm]) -> FoundTexts:
        """Return the texts that hold a term. Raises ``StoreUnavailable``."""
        parameters = {"folded": [term.folded for term in terms], "typed": [term.typed for term in terms]}
        (rows,) = await self._fetch(TEXTS_BY_WORDS, parameters)
        candidates = [
            TextCandidate(row["id"], row["content"], row["metadata"], None) for row in rows if row["id"] is not None
        ]
        return FoundTexts(candidates, rows[0]["term_counts"], rows[0]["total"])

    async def near_texts(self, found: FoundTexts, vector: Sequence[float], fingerprint: str) -> FoundTexts:
        """Return the found texts with similarities, and other texts near the vector. Raises ``StoreUnavailable``."""
        if not self._fits(vector):
            return found
        near = _near_parameters(found.candidates, vector, fingerprint)
        known, others = await self._fetch(TEXTS_BY_VECTOR, near)
        similarities = {row["id"]: row["similarity"] for row in known}
        candidates = [replace(each, similarity=similarities.get(each.id)) for each in found.candidates]
        return replace(found, candidates=[*candidates, *(TextCandidate(**row) for row in others)])

    async def index_texts(self, connection: Connection) -> None:
        """Index texts again that were stored with other languages, or before there were any.

        Each batch is one transaction, so that an attempt which is cut off has done a part.
        """
        words, batch = passage_words(self.names.languages), sql.Literal(_BATCH)
        statement = self.names.sql(_REINDEX, passage_words=words, batch=batch)
        indexed = _BATCH
        while indexed == _BATCH:
            async with connection.transaction():
                await connection.execute("SET LOCAL statement_timeout = 0")
                indexed = (await connection.execute(statement)).rowcount

    def _fits(self, vector: Sequence[float]) -> bool:
        if len(vector) == self.dimension:
            return True
        logger.warning("query vector of dimension %d left aside, the store has %d", len(vector), self.dimension)
        return False

    def _weighed(self, query: ParsedQuery, candidates: Sequence[Candidate]) -> list[Weighed]:
        return self.index.weigh(query, candidates, max(self.total, len(candidates)))

    async def _fetch(self, query: str, parameters: Mapping[str, Any]) -> list[_Rows]:
        """Return the rows of each statement of ``query``, in a span that records their number."""
        with tracing.ending(tracing.start_span("SELECT documents", SpanKind.CLIENT)) as span:
            tracing.annotate(span, _SEARCH_SPAN)
            results = await self._send(query, parameters)
            tracing.annotate(span, {"db.response.returned_rows": len(results[-1])})
            return results

    @in_database()
    async def _send(self, query: str, parameters: Mapping[str, Any]) -> list[_Rows]:
        async with self.database.connection() as connection:
            # Client-side binding is what lets several statements travel in one message.
            cursor = psycopg.AsyncClientCursor(connection, row_factory=dict_row)
            await cursor.execute(search_message(self.names, query, self.database.timeout_ms), parameters)
            results: list[_Rows] = []
            more: bool | None = True
            while more:
                if cursor.description is not None:
                    results.append(await cursor.fetchall())
                more = cursor.nextset()
        return results


@functools.lru_cache(maxsize=64)
def search_message(names: Names, query: str, timeout_ms: int) -> bytes:
    """Return ``query`` behind the transaction-local settings of a search."""
    settings = _SETTINGS + (_ITERATIVE if names.vector_version >= (0, 8) else "")
    term_queries = [
        sql.SQL("plainto_tsquery({}, t.{})").format(configuration(name), sql.Identifier(spelling))
        for name in ("simple", *names.languages)
        for spelling in ("folded", "typed")
    ]
    composed = names.sql(
        settings + query,
        timeout_ms=sql.Literal(timeout_ms),
        comparable=sql.SQL("d.embedding_fingerprint = %(fingerprint)s::text"),
        similarity=names.sql("1 - (d.embedding OPERATOR({vector}.<=>) asked_vector)"),
        asked_vector=names.sql("(SELECT %(vector)s::{vector}.vector AS asked_vector) AS v"),
        term_query=sql.SQL(" || ").join(term_queries),
        max_counted=sql.Literal(MAX_COUNTED),
    )
    return composed.as_bytes(None)


def _near_parameters(
    found: Sequence[Candidate] | Sequence[TextCandidate], vector: Sequence[float], fingerprint: str
) -> dict[str, Any]:
    ids = [candidate.id for candidate in found]
    return {"found": ids, "vector": vector_literal(vector), "fingerprint": fingerprint}
