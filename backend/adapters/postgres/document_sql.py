"""SQL that writes and counts documents; search is in ``search_sql``."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from adapters.base import Document, TextIndex

UPSERT = """
INSERT INTO {schema}.rag_documents AS d (id, kind, content, metadata, content_hash, direction, lemma_keys, gloss_keys,
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
WITH_PREFIX = """
(SELECT id, kind, content, 'lemma', metadata FROM {schema}.rag_documents
 WHERE kind = 'dictionary' AND metadata ->> 'part' IS DISTINCT FROM 'example'
   AND lemma_keys[1] COLLATE "C" >= %(first)s AND lemma_keys[1] COLLATE "C" < %(after)s
 ORDER BY lemma_keys[1] COLLATE "C" LIMIT %(limit)s)
UNION ALL
(SELECT id, kind, content, 'gloss', metadata FROM {schema}.rag_documents
 WHERE kind = 'dictionary' AND metadata ->> 'part' IS DISTINCT FROM 'example'
   AND gloss_keys[1] COLLATE "C" >= %(first)s AND gloss_keys[1] COLLATE "C" < %(after)s
 ORDER BY gloss_keys[1] COLLATE "C" LIMIT %(limit)s)
"""
_LAST_CHARACTER = "\U0010ffff"
HASHES = "SELECT id, content_hash FROM {schema}.rag_documents WHERE id = ANY(%s::text[])"
SET_VECTORS = """
UPDATE {schema}.rag_documents AS d SET embedding = v.vector::{vector}.vector, embedding_fingerprint = %s
FROM unnest(%s::text[], %s::text[], %s::text[]) AS v(id, vector, content_md5)
WHERE d.id = v.id AND (v.content_md5 IS NULL OR md5(d.content) = v.content_md5)
"""
DELETE_MANY = "DELETE FROM {schema}.rag_documents WHERE id = ANY(%s::text[])"
# Runs once per ingested file: not worth an index.
OF_SOURCE = "SELECT id, content FROM {schema}.rag_documents WHERE metadata ->> 'source' = %s ORDER BY id"
# Reads the whole table.
SOURCES = """
SELECT coalesce(metadata ->> 'source', '') AS source, kind, count(*) AS documents,
    count(*) FILTER (WHERE id ~ %(pattern)s) AS matching, max(updated_at) AS changed_at
FROM {schema}.rag_documents GROUP BY 1, 2 ORDER BY 1, 2 LIMIT %(limit)s
"""
MAX_SOURCES = 1_000
# The first half has its own index; the second is read only when the first yields too few rows.
PENDING = """
(SELECT id, content FROM {schema}.rag_documents WHERE embedding_fingerprint IS NULL ORDER BY id LIMIT %(limit)s)
UNION ALL
(SELECT id, content FROM {schema}.rag_documents WHERE embedding_fingerprint <> %(fingerprint)s ORDER BY id
 LIMIT %(limit)s)
LIMIT %(limit)s
"""
STATS = """
SELECT kind, direction, embedding_fingerprint, count(*),
    count(*) FILTER (WHERE CASE WHEN %(fingerprint)s::text IS NULL THEN embedding_fingerprint IS NULL
                           ELSE embedding_fingerprint IS DISTINCT FROM %(fingerprint)s END),
    count(*) FILTER (WHERE kind = 'dictionary' AND metadata ->> 'part' IS DISTINCT FROM 'example')
FROM {schema}.rag_documents GROUP BY 1, 2, 3
"""


def prefix_parameters(prefix: str, limit: int) -> dict[str, Any]:
    """Return the parameters of ``WITH_PREFIX``."""
    return {"first": prefix, "after": prefix + _LAST_CHARACTER, "limit": limit}


def document_row(document: Document, index: TextIndex) -> dict[str, Any]:
    """Return the columns of one document, for ``UPSERT``."""
    return {
        "id": document.id,
        "kind": document.kind,
        "content": document.content,
        "metadata": dict(document.metadata),
        "content_hash": content_hash(document, index),
        **asdict(index.fields(document)),
    }


def upsert_parameter(documents: Iterable[Document], index: TextIndex) -> str:
    """Return the parameter of ``UPSERT``, sorted so that concurrent writers lock rows in the same order."""
    rows = [document_row(document, index) for document in sorted(documents, key=lambda document: document.id)]
    return json.dumps(rows, ensure_ascii=False)


def content_hash(document: Document, index: TextIndex) -> str:
    """Return the hash by which a changed document is detected."""
    identity = json.dumps(
        [index.version, document.kind, document.content, dict(document.metadata)], sort_keys=True, ensure_ascii=False
    )
    return hashlib.sha256(identity.encode()).hexdigest()


def content_md5(content: str) -> str:
    """Return the digest that ``SET_VECTORS`` compares with the stored content."""
    return hashlib.md5(content.encode(), usedforsecurity=False).hexdigest()
