"""Ids that outlive an edit: a document is named by where it stands, not by what it says.

A corrected gloss or translation changes the document that is stored; it does not leave the old one
behind beside a new one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from adapters.base import Document
from services.documents import document_id


@dataclass(frozen=True, slots=True)
class Draft:
    """A document that has no id yet."""

    prefix: str
    """What begins the id: entry, sub, example, phrase or chunk."""
    kind: Literal["dictionary", "phrase", "text"]
    content: str
    metadata: Mapping[str, Any]
    key: tuple[str, ...]
    """What stays when the document is corrected, such as direction and lemma."""
    twin: tuple[str, ...]
    """What two printings of the same have in common; homographs differ in it."""


class Naming:
    """Gives the documents of one file their ids.

    Several documents of one key (homographs, examples of one entry) are told apart by their order.

    Args:
        source: name of the file; part of every id, so that two dictionaries do not overwrite each
            other, and kept as ``metadata.source``. Empty for documents that come from no file.

    """

    def __init__(self, source: str = "") -> None:
        self._source = source
        self._seen: dict[tuple[str, ...], list[tuple[str, ...]]] = {}

    def document(self, draft: Draft) -> Document | None:
        """Return the document, or ``None`` when it was printed before in this file."""
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
