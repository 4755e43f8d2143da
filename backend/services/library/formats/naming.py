"""Document ids that are stable across edits: derived from a document's position, not its content.

A corrected gloss or translation therefore updates the stored document instead of adding a second one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from adapters.base import Document
from services.library.documents import document_id


@dataclass(frozen=True, slots=True)
class Draft:
    """A document without an id."""

    prefix: str
    """Prefix of the id: entry, sub, example, phrase or chunk."""
    kind: Literal["dictionary", "phrase", "text"]
    content: str
    metadata: Mapping[str, Any]
    key: tuple[str, ...]
    """Identifying fields that a correction does not change, such as direction and lemma."""
    twin: tuple[str, ...]
    """Equal for duplicates of one document, different for homographs."""


class Naming:
    """Assigns ids to the documents of one file.

    Several documents of one key (homographs, examples of one entry) are distinguished by their order.

    Args:
        source: name of the file; part of every id, so that two dictionaries do not overwrite each
            other, and kept as ``metadata.source``. Empty for documents that come from no file.

    """

    def __init__(self, source: str = "") -> None:
        self._source = source
        self._seen: dict[tuple[str, ...], list[tuple[str, ...]]] = {}

    def document(self, draft: Draft) -> Document | None:
        """Return the document, or ``None`` for a duplicate within the file."""
        key = (draft.prefix, *draft.key)
        twins = self._seen.setdefault(key, [])
        if draft.twin in twins:
            return None
        twins.append(draft.twin)
        name = document_id(draft.prefix, self._source, *draft.key, str(len(twins) - 1))
        metadata = dict(draft.metadata)
        if self._source:
            metadata["source"] = self._source
        return Document(name, draft.kind, draft.content, metadata)
