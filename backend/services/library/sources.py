"""Stored documents by source file: the name of a source, and the documents that its file no longer contains."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from adapters.ports.documents import Document
from adapters.ports.store import DocumentStore, Source

_BATCH: Final = 500
_OF_A_FILE: Final = re.compile(r"(entry|sub|example|phrase|chunk)-[0-9a-f]{24}")
"""Ids of documents from files; excludes documents stored through the API with a file's name as source."""


async def list_sources(store: DocumentStore) -> list[Source]:
    """Return the sources, the last changed first. Raises ``StoreUnavailable``."""
    return await store.sources(_OF_A_FILE.pattern)


def source_name(path: Path) -> str:
    """Return under which name a file's documents are kept: its own with its folder's, such as ``lessons/words.csv``.

    So two files of one name stay apart, and where the command is run, or to where both folders move, does not matter.
    """
    found = path.resolve()
    return f"{found.parent.name}/{found.name}" if found.parent.name else found.name


async def is_stored_as(store: DocumentStore, source: str, documents: Sequence[Document]) -> bool:
    """Return whether at least half of the documents stored under a name are among ``documents``, word for word."""
    stored = await store.documents_of_source(source)
    same = sum(stored.get(document.id) == document.content for document in documents)
    return 0 < len(stored) <= 2 * same


async def gone(store: DocumentStore, source: str, kept: Iterable[str]) -> list[str]:
    """Return the ids of the documents from ``source`` that are not in ``kept``."""
    still = set(kept)
    found = await store.documents_of_source(source)
    return [document_id for document_id in found if document_id not in still and _OF_A_FILE.fullmatch(document_id)]


async def remove(store: DocumentStore, ids: Sequence[str]) -> int:
    """Delete documents; return how many existed. Raises ``StoreUnavailable``."""
    removed = 0
    for start in range(0, len(ids), _BATCH):
        removed += await store.delete_many(ids[start : start + _BATCH])
    return removed
