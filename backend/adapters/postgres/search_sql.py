"""The statements of the dictionary's search: candidates by whole phrase, with a typo and by words; then by vector.

Each is one message with its settings, hence one round trip and one implicit transaction, so that it works through a
transaction pooler.
"""

from collections.abc import Sequence
from typing import Any

from psycopg import sql

from adapters.base import Candidate, Lookup
from adapters.postgres.names import Names, vector_literal

EXACT_LIMIT, NEAR_LIMIT, VECTOR_LIMIT = 100, 60, 40
WORD_LIMIT, HEAD_LIMIT, TOGETHER_LIMIT = 80, 40, 40
"""Candidates kept per word search: any word, a word in lemma or gloss, all words."""
MAX_RANKED = 400
"""Rows read and ranked per word search, however common a word is."""

# The planner cannot estimate how many rows match a question's keys; where it expects many, it scans the whole
# table although every condition has an index. JIT compilation takes longer than any search.
_SETTINGS = "SET LOCAL statement_timeout = {timeout_ms}; SET LOCAL enable_seqscan = off; SET LOCAL jit = off;"
# Rows of another fingerprint are discarded after the index scan, so the scan must continue until enough remain.
_ITERATIVE = "SET LOCAL hnsw.iterative_scan = relaxed_order;"

_ASKED = """    SELECT t.ord, plainto_tsquery('pg_catalog.simple', t.folded)
               || plainto_tsquery('pg_catalog.spanish', t.folded)
               || plainto_tsquery('pg_catalog.spanish', t.accented) AS tsq,
        tsvector_to_array(to_tsvector('pg_catalog.simple', t.folded)
               || to_tsvector('pg_catalog.spanish', t.folded)
               || to_tsvector('pg_catalog.spanish', t.accented)) AS lexemes
    FROM unnest(%(folded)s::text[], %(accented)s::text[]) WITH ORDINALITY AS t(folded, accented, ord)"""
_COLUMNS = """d.id, d.kind, d.content, d.metadata, d.direction, d.lemma_keys, d.gloss_keys,
    d.text_a, d.text_b, d.text_c, ARRAY(
        SELECT CASE WHEN w.a @@ t.tsq THEN 'a' WHEN w.b @@ t.tsq THEN 'b' WHEN w.words @@ t.tsq THEN 'c' ELSE '' END
        FROM asked t ORDER BY t.ord
    ) AS term_fields"""
_FIELDS = "LATERAL (SELECT ts_filter(d.words, '{a}') AS a, ts_filter(d.words, '{b}') AS b, d.words OFFSET 0) AS w"

# Document counts of the commonest words come from the statistics of ANALYZE; only the rarer words are counted.
# Rows to rank are selected by rare words. Common words select rows only in combination with all other words;
# where all words are common, the rarest one also selects rows that contain it in lemma or gloss. The CTEs named
# *_rows are planned by index as if all rows were wanted, and read only up to the limit of the CTE that uses them.
_BY_WORDS = """
WITH asked AS MATERIALIZED (
{asked}
),
common AS MATERIALIZED (
    SELECT e.lexeme, e.share * greatest(c.reltuples, 0) AS documents
    FROM pg_catalog.pg_stats s
    JOIN pg_catalog.pg_namespace n ON n.nspname = s.schemaname
    JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = s.tablename,
    unnest(s.most_common_elems::text::text[], s.most_common_elem_freqs) AS e(lexeme, share)
    WHERE s.schemaname = {schema_name} AND s.tablename = 'rag_documents' AND s.attname = 'words'
),
terms AS MATERIALIZED (
    SELECT a.ord, a.tsq, coalesce(
        (SELECT max(documents)::bigint FROM common WHERE lexeme = ANY (a.lexemes)),
        (SELECT count(*) FROM (SELECT 1 FROM {schema}.rag_documents c WHERE c.words @@ a.tsq
                               LIMIT {max_ranked}) AS counted)
    ) AS documents
    FROM asked a
),
by_rarity AS (
    SELECT tsq, row_number() OVER rarest AS place, sum(documents) OVER rarest AS documents
    FROM terms WHERE numnode(tsq) > 0 WINDOW rarest AS (ORDER BY documents, ord)
),
queries AS MATERIALIZED (
    SELECT string_agg(tsq::text, ' | ')::tsquery AS any_term,
        string_agg(tsq::text, ' | ') FILTER (WHERE place = 1 OR documents <= {max_ranked})::tsquery AS rare_terms,
        string_agg('(' || tsq::text || ')', ' & ')::tsquery AS all_terms,
        min(tsq::text) FILTER (WHERE place = 1)::tsquery AS rarest_term,
        max(documents) > {max_ranked} AND count(*) > 1 AS some_common,
        min(documents) > {max_ranked} AS all_common
    FROM by_rarity
),
lemma_rows AS MATERIALIZED (SELECT id FROM {schema}.rag_documents WHERE lemma_keys && %(whole)s::text[]),
gloss_rows AS MATERIALIZED (SELECT id FROM {schema}.rag_documents WHERE gloss_keys && %(whole)s::text[]),
part_rows AS MATERIALIZED (
    SELECT id FROM {schema}.rag_documents WHERE lemma_keys && %(parts)s::text[] OR gloss_keys && %(parts)s::text[]
),
near_rows AS MATERIALIZED (SELECT id FROM {schema}.rag_documents WHERE near_keys && %(near)s::integer[]),
near_term_rows AS MATERIALIZED (SELECT id FROM {schema}.rag_documents WHERE near_keys && %(near_terms)s::integer[]),
word_rows AS MATERIALIZED (SELECT id, words FROM {schema}.rag_documents, queries WHERE words @@ rare_terms),
together_rows AS MATERIALIZED (
    SELECT id, words FROM {schema}.rag_documents, queries WHERE some_common AND words @@ all_terms
),
head_rows AS MATERIALIZED (
    SELECT id, words FROM {schema}.rag_documents, queries WHERE all_common AND ts_filter(words, {heads}) @@ rarest_term
),
worded AS (
    SELECT id FROM (SELECT * FROM word_rows LIMIT {max_ranked}) AS found, queries
    ORDER BY ts_rank({weights}, words, any_term, 1) DESC, id LIMIT {word_limit}
),
together AS (
    SELECT id FROM (SELECT * FROM together_rows LIMIT {max_ranked}) AS found, queries
    ORDER BY ts_rank({weights}, words, any_term, 1) DESC, id LIMIT {together_limit}
),
heads AS (
    SELECT id FROM (SELECT * FROM head_rows LIMIT {max_ranked}) AS found, queries
    ORDER BY ts_rank({weights}, words, any_term, 1) DESC, id LIMIT {head_limit}
),
candidates AS (
    (SELECT id FROM lemma_rows LIMIT {exact_limit})
    UNION (SELECT id FROM gloss_rows LIMIT {exact_limit})
    UNION (SELECT id FROM part_rows LIMIT {near_limit})
    UNION (SELECT id FROM near_rows LIMIT {near_limit})
    UNION (SELECT id FROM near_term_rows LIMIT {near_limit})
    UNION SELECT id FROM worded UNION SELECT id FROM together UNION SELECT id FROM heads
)
SELECT {columns}, ARRAY(SELECT t.documents FROM terms t ORDER BY t.ord) AS term_counts
FROM {schema}.rag_documents d JOIN candidates USING (id), {fields}
"""

# Two results: how near what was found by words is, and what else is near.
_BY_VECTOR = """
SELECT id, {similarity} AS similarity FROM {schema}.rag_documents d
WHERE id = ANY (%(found)s::text[]) AND {comparable};
WITH asked AS MATERIALIZED (
{asked}
),
nearest AS MATERIALIZED (
    SELECT id, {similarity} AS similarity FROM {schema}.rag_documents d
    WHERE kind <> 'text' AND {comparable}
    ORDER BY embedding OPERATOR({vector}.<=>) %(vector)s::{vector}.vector LIMIT {vector_limit}
)
SELECT {columns}, nearest.similarity
FROM nearest JOIN {schema}.rag_documents d USING (id), {fields}
WHERE id <> ALL (%(found)s::text[])
"""
COMPARABLE = "d.embedding_fingerprint = %(fingerprint)s::text"
SIMILARITY = "1 - (d.embedding OPERATOR({vector}.<=>) %(vector)s::{vector}.vector)"


def words_statement(names: Names, *, timeout_ms: int) -> sql.Composed:
    """Return the search by words; its parameters come from ``words_parameters``."""
    return search_settings(names, with_vector=False, timeout_ms=timeout_ms) + words_query(names)


def near_statement(names: Names, *, timeout_ms: int) -> sql.Composed:
    """Return the search by vector; its parameters come from ``near_parameters``."""
    return search_settings(names, with_vector=True, timeout_ms=timeout_ms) + near_query(names)


def search_settings(names: Names, *, with_vector: bool, timeout_ms: int) -> sql.Composed:
    """Return the transaction-local settings of a search."""
    text = _SETTINGS + (_ITERATIVE if with_vector and names.info.vector_version >= (0, 8) else "")
    return sql.SQL(text).format(timeout_ms=sql.Literal(timeout_ms))


def words_query(names: Names) -> sql.Composed:
    """Return the search by words without its settings."""
    return names.sql(
        _BY_WORDS,
        asked=sql.SQL(_ASKED),
        columns=sql.SQL(_COLUMNS),
        fields=sql.SQL(_FIELDS),
        exact_limit=sql.Literal(EXACT_LIMIT),
        near_limit=sql.Literal(NEAR_LIMIT),
        word_limit=sql.Literal(WORD_LIMIT),
        head_limit=sql.Literal(HEAD_LIMIT),
        together_limit=sql.Literal(TOGETHER_LIMIT),
        max_ranked=sql.Literal(MAX_RANKED),
        schema_name=sql.Literal(names.schema),
        weights=sql.SQL("'{0.1, 0.2, 0.7, 1.0}'::real[]"),
        heads=sql.SQL("""'{a,b}'::"char"[]"""),
    )


def near_query(names: Names) -> sql.Composed:
    """Return the search by vector without its settings."""
    return names.sql(
        _BY_VECTOR,
        asked=sql.SQL(_ASKED),
        columns=sql.SQL(_COLUMNS),
        fields=sql.SQL(_FIELDS),
        comparable=sql.SQL(COMPARABLE),
        similarity=names.sql(SIMILARITY),
        vector_limit=sql.Literal(VECTOR_LIMIT),
    )


def words_parameters(lookup: Lookup) -> dict[str, Any]:
    """Return the parameters of ``words_statement`` for one question."""
    return {
        "folded": lookup.terms,
        "accented": lookup.accented,
        "whole": lookup.whole,
        "parts": lookup.parts,
        "near": lookup.near,
        "near_terms": lookup.near_terms,
    }


def near_parameters(
    lookup: Lookup, found: Sequence[Candidate], vector: Sequence[float], fingerprint: str
) -> dict[str, Any]:
    """Return the parameters of ``near_statement`` for one question and what its words found."""
    return {
        "folded": lookup.terms,
        "accented": lookup.accented,
        "found": [candidate.id for candidate in found],
        "vector": vector_literal(vector),
        "fingerprint": fingerprint,
    }
