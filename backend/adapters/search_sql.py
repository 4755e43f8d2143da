"""The one statement that gathers candidates: by whole phrase, by phrase with a typo, by words, by vector."""

from collections.abc import Sequence
from typing import Any

from psycopg import sql

from adapters.base import ParsedQuery
from adapters.migrations import SchemaInfo
from lexical.fields import near_codes
from lexical.folding import fold, normalise
from lexical.ranking import key_forms

EXACT_LIMIT, NEAR_LIMIT, WORD_LIMIT, VECTOR_LIMIT = 100, 60, 80, 40
MAX_COUNTED = 2_000
_NEAR_TERM_MIN_CHARS = 5
_MAX_NEAR_TERMS = 6
_MAX_SPELLED_CHARS = 2_000

_SETTINGS = "SET LOCAL statement_timeout = {timeout_ms};"
# Rows of another fingerprint are skipped after the index scan: go on until there are enough.
_ITERATIVE = "SET LOCAL hnsw.iterative_scan = relaxed_order;"

_CANDIDATES = """
WITH terms AS MATERIALIZED (
    SELECT t.ord, plainto_tsquery('pg_catalog.simple', t.folded)
               || plainto_tsquery('pg_catalog.spanish', t.folded)
               || plainto_tsquery('pg_catalog.spanish', t.accented) AS tsq
    FROM unnest(%(folded)s::text[], %(accented)s::text[]) WITH ORDINALITY AS t(folded, accented, ord)
),
any_term AS MATERIALIZED (
    SELECT string_agg(tsq::text, ' | ')::tsquery AS tsq FROM terms WHERE numnode(tsq) > 0
),
exact AS (
    SELECT id FROM {schema}.rag_documents
    WHERE lemma_keys && %(forms)s::text[] OR gloss_keys && %(forms)s::text[]
    ORDER BY (direction = %(direction)s::text) DESC NULLS LAST, id LIMIT {exact_limit}
),
near AS (
    SELECT id FROM {schema}.rag_documents WHERE near_keys && %(near)s::integer[] LIMIT {near_limit}
),
worded AS (
    SELECT id FROM {schema}.rag_documents, any_term
    WHERE words @@ any_term.tsq
    ORDER BY ts_rank('{{0.1, 0.2, 0.7, 1.0}}', words, any_term.tsq, 1) DESC, id LIMIT {word_limit}
),
{nearest}
candidates AS (
    SELECT id FROM exact UNION SELECT id FROM near UNION SELECT id FROM worded {with_nearest}
)
SELECT d.id, d.kind, d.content, d.metadata, d.direction, d.lemma_keys, d.gloss_keys, d.text_a, d.text_b, d.text_c,
    ARRAY(
        SELECT CASE WHEN ts_filter(d.words, '{{a}}') @@ t.tsq THEN 'a'
                    WHEN ts_filter(d.words, '{{b}}') @@ t.tsq THEN 'b'
                    WHEN d.words @@ t.tsq THEN 'c' ELSE '' END
        FROM terms t ORDER BY t.ord
    ) AS term_fields,
    {similarity} AS similarity,
    ARRAY(
        SELECT (SELECT count(*) FROM (SELECT 1 FROM {schema}.rag_documents c WHERE c.words @@ t.tsq
                                      LIMIT {max_counted}) AS counted)
        FROM terms t ORDER BY t.ord
    ) AS term_counts
FROM {schema}.rag_documents d JOIN candidates USING (id)
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
    names: dict[str, sql.Composable] = {
        "schema": sql.Identifier(schema),
        "vector": sql.Identifier(info.vector_schema),
        "timeout_ms": sql.Literal(timeout_ms),
        "exact_limit": sql.Literal(EXACT_LIMIT),
        "near_limit": sql.Literal(NEAR_LIMIT),
        "word_limit": sql.Literal(WORD_LIMIT),
        "vector_limit": sql.Literal(VECTOR_LIMIT),
        "max_counted": sql.Literal(MAX_COUNTED),
    }
    names["nearest"] = sql.SQL(_NEAREST).format(**names) if with_vector else sql.SQL("")
    names["with_nearest"] = sql.SQL("UNION SELECT id FROM nearest" if with_vector else "")
    names["similarity"] = sql.SQL(_SIMILARITY).format(**names) if with_vector else sql.SQL("NULL::float8")
    settings = _SETTINGS + (_ITERATIVE if with_vector and info.vector_version >= (0, 8) else "")
    return sql.SQL(settings).format(**names) + sql.SQL(_CANDIDATES).format(**names)


def search_parameters(query: ParsedQuery, vector: Sequence[float] | None, fingerprint: str | None) -> dict[str, Any]:
    """Return the parameters of ``search_statement`` for one question."""
    spelled = {fold(word): word for word in normalise(query.original[:_MAX_SPELLED_CHARS]).split()}
    terms = list(query.terms)
    forms = key_forms(query.phrase)
    near = {code for form in forms for code in near_codes(form)}
    for term in [term for term in terms if len(term) >= _NEAR_TERM_MIN_CHARS][:_MAX_NEAR_TERMS]:
        near.update(near_codes(term))
    return {
        "folded": terms,
        "accented": [spelled.get(term, term) for term in terms],
        "forms": forms,
        "direction": query.direction,
        "near": sorted(near),
        "vector": None if vector is None else vector_literal(vector),
        "fingerprint": fingerprint,
    }


def vector_literal(vector: Sequence[float]) -> str:
    """Return pgvector's text form of ``vector``."""
    return "[" + ",".join(f"{value:.7g}" for value in vector) + "]"
