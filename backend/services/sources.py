"""What the store holds of a file, and what of it is no longer in the file."""

import re
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

_BATCH: Final = 500
_OF_A_FILE: Final = re.compile(r"(entry|sub|example|phrase|chunk)-[0-9a-f]{24}")
"""Documents that somebody stored through the API under a file's name are not the file's."""


class SourceStore(Protocol):
    """A document store that knows which file a document came from."""

    async def ids_of_source(self, source: str) -> list[str]:
        """Return the ids of the documents whose ``metadata.source`` is ``source``."""
        ...

    async def delete_many(self, ids: Sequence[str]) -> int:
        """Delete all of them or none; return how many were there."""
        ...


async def gone(store: SourceStore, source: str, kept: Iterable[str]) -> list[str]:
    """Return the ids of the documents that came from ``source`` and are not in ``kept``."""
    still = set(kept)
    found = await store.ids_of_source(source)
    return [document_id for document_id in found if document_id not in still and _OF_A_FILE.fullmatch(document_id)]


async def remove(store: SourceStore, ids: Sequence[str]) -> int:
    """Delete documents; return how many were there. Raises ``StoreUnavailable``."""
    removed = 0
    for start in range(0, len(ids), _BATCH):
        removed += await store.delete_many(ids[start : start + _BATCH])
    return removed
