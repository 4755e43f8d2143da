"""What is written to and counted in the table of documents; searching is in ``search_sql``."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from adapters.base import Document
from lexical.fields import index_fields
from lexical.folding import FOLDING_VERSION

UPSERT = """
INSERT INTO {schema}.rag_documents AS d (id, kind, content, metadata, content_hash, direction, lemma_keys, gloss_keys,
    near_keys, text_a, text_b, text_c, stem_a, stem_b, stem_c)
SELECT id, kind, content, metadata, content_hash, direction, lemma_keys, gloss_keys, near_keys,
    text_a, text_b, text_c, stem_a, stem_b, stem_c
FROM jsonb_to_recordset(%s::jsonb) AS r(id text, kind text, content text, metadata jsonb, content_hash text,
    direction text, lemma_keys text[], gloss_keys text[], near_keys integer[], text_a text, text_b text, text_c text,
    stem_a text, stem_b text, stem_c text)
ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, content = excluded.content, metadata = excluded.metadata,
    content_hash = excluded.content_hash, direction = excluded.direction, lemma_keys = excluded.lemma_keys,
    gloss_keys = excluded.gloss_keys, near_keys = excluded.near_keys, text_a = excluded.text_a,
    text_b = excluded.text_b, text_c = excluded.text_c, stem_a = excluded.stem_a, stem_b = excluded.stem_b,
    stem_c = excluded.stem_c, updated_at = now(),
    embedding = CASE WHEN d.content = excluded.content THEN d.embedding END,
    embedding_fingerprint = CASE WHEN d.content = excluded.content THEN d.embedding_fingerprint END
WHERE d.content_hash <> excluded.content_hash
RETURNING (xmax = 0) AS inserted
"""
HASHES = "SELECT id, content_hash FROM {schema}.rag_documents WHERE id = ANY(%s::text[])"
SET_VECTORS = """
UPDATE {schema}.rag_documents AS d SET embedding = v.vector::{vector}.vector, embedding_fingerprint = %s
FROM unnest(%s::text[], %s::text[], %s::text[]) AS v(id, vector, content_md5)
WHERE d.id = v.id AND (v.content_md5 IS NULL OR md5(d.content) = v.content_md5)
"""
DELETE_MANY = "DELETE FROM {schema}.rag_documents WHERE id = ANY(%s::text[])"
# Read once for each file that is loaded: not worth an index.
IDS_OF_SOURCE = "SELECT id FROM {schema}.rag_documents WHERE metadata ->> 'source' = %s ORDER BY id"
# The first half is read from an index of its own, the second only when the first is short.
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
                           ELSE embedding_fingerprint IS DISTINCT FROM %(fingerprint)s END)
FROM {schema}.rag_documents GROUP BY 1, 2, 3
"""


def document_row(document: Document) -> dict[str, Any]:
    """Return the columns of one document, for ``UPSERT``."""
    return {
        "id": document.id,
        "kind": document.kind,
        "content": document.content,
        "metadata": dict(document.metadata),
        "content_hash": content_hash(document),
        **asdict(index_fields(document)),
    }


def upsert_parameter(documents: Iterable[Document]) -> str:
    """Return what ``UPSERT`` takes; sorted, so that two writers lock rows in the same order."""
    rows = [document_row(document) for document in sorted(documents, key=lambda document: document.id)]
    return json.dumps(rows, ensure_ascii=False)


def content_hash(document: Document) -> str:
    """Return what tells a changed document from an unchanged one."""
    identity = json.dumps(
        [FOLDING_VERSION, document.kind, document.content, dict(document.metadata)], sort_keys=True, ensure_ascii=False
    )
    return hashlib.sha256(identity.encode()).hexdigest()


def content_md5(content: str) -> str:
    """Return what ``SET_VECTORS`` compares with the content that is stored now."""
    return hashlib.md5(content.encode(), usedforsecurity=False).hexdigest()
