"""SQL of texts: their words in the configured languages, and the search for passages."""

from collections.abc import Sequence
from typing import Any, Final

from psycopg import sql

from adapters.base import TextCandidate, TextTerm
from adapters.postgres.names import Names, configuration, passage_words, vector_literal
from adapters.postgres.search_sql import COMPARABLE, SIMILARITY, search_settings

WORD_LIMIT: Final = 40
VECTOR_LIMIT: Final = 20
MAX_COUNTED: Final = 2_000
"""Texts that a term is counted and ranked in, however many hold it."""

_BY_WORDS = """
WITH asked AS MATERIALIZED (
    SELECT t.ord, {term_query} AS tsq
    FROM unnest(%(folded)s::text[], %(typed)s::text[]) WITH ORDINALITY AS t(folded, typed, ord)
),
terms AS MATERIALIZED (
    SELECT a.ord, a.tsq,
        (SELECT count(*) FROM (SELECT 1 FROM {schema}.rag_documents c WHERE c.passage_words @@ a.tsq
                               LIMIT {max_counted}) AS counted) AS documents
    FROM asked a
),
total AS MATERIALIZED (SELECT count(*) AS texts FROM {schema}.rag_documents WHERE kind = 'text'),
weighted AS MATERIALIZED (
    SELECT tsq, ln(1 + (texts - documents + 0.5) / (documents + 0.5)) AS weight
    FROM terms, total WHERE numnode(tsq) > 0 AND documents > 0 AND (documents < {max_counted} OR texts < {max_counted})
),
any_term AS MATERIALIZED (SELECT string_agg(tsq::text, ' | ')::tsquery AS tsq FROM weighted),
worded AS (
    SELECT d.id FROM {schema}.rag_documents d, any_term
    WHERE d.passage_words @@ any_term.tsq
    ORDER BY (SELECT sum(w.weight) FROM weighted w WHERE d.passage_words @@ w.tsq) DESC,
        length(d.passage_words), d.id
    LIMIT {word_limit}
)
SELECT (SELECT texts FROM total) AS total, ARRAY(SELECT documents FROM terms ORDER BY ord) AS term_counts,
    d.id, d.content, d.metadata
FROM (SELECT 1) AS one LEFT JOIN (worded JOIN {schema}.rag_documents d USING (id)) ON true
"""
# Two results, as of the dictionary's search by vector.
_BY_VECTOR = """
SELECT id, {similarity} AS similarity FROM {schema}.rag_documents d
WHERE id = ANY (%(found)s::text[]) AND {comparable};
WITH nearest AS MATERIALIZED (
    SELECT id, content, metadata, {similarity} AS similarity FROM {schema}.rag_documents d
    WHERE kind = 'text' AND {comparable}
    ORDER BY embedding OPERATOR({vector}.<=>) %(vector)s::{vector}.vector LIMIT {vector_limit}
)
SELECT id, content, metadata, similarity FROM nearest WHERE id <> ALL (%(found)s::text[])
"""
_REINDEX = """
UPDATE {schema}.rag_documents SET passage_words = {passage_words}, passage_languages = {languages}
WHERE kind = 'text' AND passage_languages <> {languages}
"""


def reindex_statement(names: Names) -> sql.Composed:
    """Return the statement that makes the words of texts anew, in the languages of ``names``."""
    return names.sql(_REINDEX, passage_words=passage_words(names.languages))


def text_words_statement(names: Names, *, timeout_ms: int) -> sql.Composed:
    """Return settings and search by words as one message; its parameters come from ``text_words_parameters``.

    Its rows have the totals in each; the only row's ``id`` is ``NULL`` when no text is found.
    """
    queries = [
        sql.SQL("plainto_tsquery({}, t.{})").format(configuration(name), sql.Identifier(spelling))
        for name in ("simple", *names.languages)
        for spelling in ("folded", "typed")
    ]
    return search_settings(names, with_vector=False, timeout_ms=timeout_ms) + names.sql(
        _BY_WORDS,
        word_limit=sql.Literal(WORD_LIMIT),
        max_counted=sql.Literal(MAX_COUNTED),
        term_query=sql.SQL(" || ").join(queries),
    )


def near_texts_statement(names: Names, *, timeout_ms: int) -> sql.Composed:
    """Return settings and search by vector as one message; its parameters come from ``near_texts_parameters``."""
    return search_settings(names, with_vector=True, timeout_ms=timeout_ms) + names.sql(
        _BY_VECTOR,
        comparable=sql.SQL(COMPARABLE),
        similarity=names.sql(SIMILARITY),
        vector_limit=sql.Literal(VECTOR_LIMIT),
    )


def text_words_parameters(terms: Sequence[TextTerm]) -> dict[str, Any]:
    """Return the parameters of ``text_words_statement``."""
    return {"folded": [term.folded for term in terms], "typed": [term.typed for term in terms]}


def near_texts_parameters(found: Sequence[TextCandidate], vector: Sequence[float], fingerprint: str) -> dict[str, Any]:
    """Return the parameters of ``near_texts_statement``."""
    return {
        "found": [candidate.id for candidate in found],
        "vector": vector_literal(vector),
        "fingerprint": fingerprint,
    }
