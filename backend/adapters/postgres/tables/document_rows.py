"""The row of a document: its columns, and the hash by which a change is detected."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict

from adapters.ports.documents import Document
from adapters.ports.search import TextIndex


def upsert_parameter(documents: Iterable[Document], index: TextIndex) -> str:
    """Return the parameter of ``UPSERT``, sorted so that concurrent writers lock rows in the same order."""
    rows = [
        {
            "id": document.id,
            "kind": document.kind,
            "content": document.content,
            "metadata": dict(document.metadata),
            "content_hash": content_hash(document, index),
            **asdict(index.fields(document)),
        }
        for document in sorted(documents, key=lambda each: each.id)
    ]
    return json.dumps(rows, ensure_ascii=False)


def content_hash(document: Document, index: TextIndex) -> str:
    """Return the hash by which a changed document is detected."""
    identity = json.dumps(
        [index.version, document.kind, document.content, dict(document.metadata)], sort_keys=True, ensure_ascii=False
    )
    return hashlib.sha256(identity.encode()).hexdigest()
