"""The one statement that gathers candidates: by whole phrase, by phrase with a typo, by words, by vector."""

from collections.abc import Sequence
from typing import Any

from psycopg import sql

from adapters.base import ParsedQuery
from adapters.migrations import SchemaInfo
from lexical.asked import whole_forms, windows
from lexical.fields import near_codes
from lexical.folding import fold, normalise

EXACT_LIMIT, NEAR_LIMIT, VECTOR_LIMIT = 100, 60, 40
WORD_LIMIT, HEAD_LIMIT, TOGETHER_LIMIT = 80, 40, 40
"""Candidates kept of those that hold words of the question: any of them, in lemma or gloss, all of them."""
MAX_RANKED = 400
"""Rows that are read and ranked for each of these, however common a word is."""
_NEAR_TERM_MIN_CHARS = 5
_MAX_NEAR_TERMS = 6
_MAX_SPELLED_CHARS = 2_000

# The planner cannot know how many rows hold the keys of a question: where it expects many, it reads the whole
# table although each condition has its index. Compiling (JIT) takes longer than any search.
_SETTINGS = "SET LOCAL statement_timeout = {timeout_ms}; SET LOCAL enable_seqscan = off; SET LOCAL jit = off;"
# Rows of another fingerprint are skipped after the index scan: go on until there are enough.
_ITERATIVE = "SET LOCAL hnsw.iterative_scan = relaxed_order;"

# How many documents hold a word is taken from the statistics that ANALYZE keeps of the commonest, and counted
# only for the others, which are in few. Rare words choose the rows that are ranked; common ones only together
# with all others; where all are common, the rarest also where it stands in a lemma or gloss. What is called rows
# is planned as if all were wanted, by its index, and read only as far as the limit of those who read from it.
_CANDIDATES = """
WITH asked AS MATERIALIZED (
    SELECT t.ord, plainto_tsquery('pg_catalog.simple', t.folded)
               || plainto_tsquery('pg_catalog.spanish', t.folded)
               || plainto_tsquery('pg_catalog.spanish', t.accented) AS tsq,
        tsvector_to_array(to_tsvector('pg_catalog.simple', t.folded)
               || to_tsvector('pg_catalog.spanish', t.folded)
               || to_tsvector('pg_catalog.spanish', t.accented)) AS lexemes
    FROM unnest(%(folded)s::text[], %(accented)s::text[]) WITH ORDINALITY AS t(folded, accented, ord)
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
{nearest}
candidates AS (
    (SELECT id FROM lemma_rows LIMIT {exact_limit})
    UNION (SELECT id FROM gloss_rows LIMIT {exact_limit})
    UNION (SELECT id FROM part_rows LIMIT {near_limit})
    UNION (SELECT id FROM near_rows LIMIT {near_limit})
    UNION (SELECT id FROM near_term_rows LIMIT {near_limit})
    UNION SELECT id FROM worded UNION SELECT id FROM together UNION SELECT id FROM heads {with_nearest}
)
SELECT d.id, d.kind, d.content, d.metadata, d.direction, d.lemma_keys, d.gloss_keys, d.text_a, d.text_b, d.text_c,
    ARRAY(
        SELECT CASE WHEN w.a @@ t.tsq THEN 'a' WHEN w.b @@ t.tsq THEN 'b' WHEN w.words @@ t.tsq THEN 'c' ELSE '' END
        FROM terms t ORDER BY t.ord
    ) AS term_fields,
    {similarity} AS similarity,
    ARRAY(SELECT t.documents FROM terms t ORDER BY t.ord) AS term_counts
FROM {schema}.rag_documents d JOIN candidates USING (id),
    LATERAL (SELECT ts_filter(d.words, '{{a}}') AS a, ts_filter(d.words, '{{b}}') AS b, d.words OFFSET 0) AS w
"""

_NEAREST = """
nearest AS (
    SELECT id FROM {schema}.rag_documents
    WHERE embedding_fingerprint = %(fingerprint)s::text
    ORDER BY embedding OPERATOR({vector}.<=>) %(vector)s::{vector}.vector LIMIT {vector_limit}
),
"""
_SIMILARITY = (
    "CASE WHEN d.embedding_fingerprint = %(fingerprint)s::text "
    "THEN 1 - (d.embedding OPERATOR({vector}.<=>) %(vector)s::{vector}.vector) END"
)


def search_statement(schema: str, info: SchemaInfo, *, with_vector: bool, timeout_ms: int) -> sql.Composed:
    """Return settings and query as one message: one round trip, one implicit transaction, so that it
    works through a transaction pooler. Its parameters come from ``search_parameters``.
    """
    settings = search_settings(info, with_vector=with_vector, timeout_ms=timeout_ms)
    return settings + search_query(schema, info, with_vector=with_vector)


def search_settings(info: SchemaInfo, *, with_vector: bool, timeout_ms: int) -> sql.Composed:
    """Return the settings under which the query runs, for its transaction only."""
    text = _SETTINGS + (_ITERATIVE if with_vector and info.vector_version >= (0, 8) else "")
    return sql.SQL(text).format(timeout_ms=sql.Literal(timeout_ms))


def search_query(schema: str, info: SchemaInfo, *, with_vector: bool) -> sql.Composed:
    """Return the one query."""
    names: dict[str, sql.Composable] = {
        "schema": sql.Identifier(schema),
        "vector": sql.Identifier(info.vector_schema),
        "exact_limit": sql.Literal(EXACT_LIMIT),
        "near_limit": sql.Literal(NEAR_LIMIT),
        "word_limit": sql.Literal(WORD_LIMIT),
        "vector_limit": sql.Literal(VECTOR_LIMIT),
        "head_limit": sql.Literal(HEAD_LIMIT),
        "together_limit": sql.Literal(TOGETHER_LIMIT),
        "max_ranked": sql.Literal(MAX_RANKED),
        "schema_name": sql.Literal(schema),
        "weights": sql.SQL("'{0.1, 0.2, 0.7, 1.0}'::real[]"),
        "heads": sql.SQL("""'{a,b}'::"char"[]"""),
    }
    names["nearest"] = sql.SQL(_NEAREST).format(**names) if with_vector else sql.SQL("")
    names["with_nearest"] = sql.SQL("UNION SELECT id FROM nearest" if with_vector else "")
    names["similarity"] = sql.SQL(_SIMILARITY).format(**names) if with_vector else sql.SQL("NULL::float8")
    return sql.SQL(_CANDIDATES).format(**names)


def search_parameters(query: ParsedQuery, vector: Sequence[float] | None, fingerprint: str | None) -> dict[str, Any]:
    """Return the parameters of ``search_statement`` for one question."""
    spelled = {fold(word): word for word in normalise(query.original[:_MAX_SPELLED_CHARS]).split()}
    terms = list(query.terms)
    whole = whole_forms(query)
    near = {code for form in whole for code in near_codes(form)}
    long_terms = [term for term in terms if len(term) >= _NEAR_TERM_MIN_CHARS][:_MAX_NEAR_TERMS]
    near_terms = {code for term in long_terms for code in near_codes(term)} - near
    return {
        "folded": terms,
        "accented": [spelled.get(term, term) for term in terms],
        "whole": whole,
        "parts": windows(query),
        "direction": query.direction,
        "near": sorted(near),
        "near_terms": sorted(near_terms),
        "vector": None if vector is None else vector_literal(vector),
        "fingerprint": fingerprint,
    }


def vector_literal(vector: Sequence[float]) -> str:
    """Return pgvector's text form of ``vector``."""
    return "[" + ",".join(f"{value:.7g}" for value in vector) + "]"
