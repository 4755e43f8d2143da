"""Documents before storage: drafts without an id, and the checks that files and the API share."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from adapters.ports.documents import Document
from schemas.texts import MAX_ID_CHARS, check_addressable, check_filled, check_text

MAX_CONTENT_CHARS = 100_000
MAX_METADATA_CHARS = 100_000


class InvalidDocument(ValueError):
    """The document cannot be stored; the message names the field and is fit for a client."""


def check_document(document: Document) -> None:
    """Raise ``InvalidDocument`` for a document that the database or the search cannot handle."""
    _check("id", document.id, MAX_ID_CHARS, check_filled, check_addressable)
    _check("content", document.content, MAX_CONTENT_CHARS, check_filled)
    if document.kind not in ("dictionary", "phrase", "text"):
        raise InvalidDocument("kind: dictionary, phrase or text")
    try:
        serialised = json.dumps(dict(document.metadata), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidDocument("metadata: not representable as JSON") from error
    _check("metadata", serialised.replace("\\u0000", "\0"), MAX_METADATA_CHARS, check_text)


def document_id(prefix: str, *identity: str) -> str:
    """Return a deterministic id for ``identity``, independent of run and file."""
    digest = hashlib.sha256("\x1f".join(identity).encode("utf-8", "surrogatepass")).hexdigest()
    return f"{prefix}-{digest[:24]}"


def text_field(record: Mapping[str, Any], name: str) -> str:
    """Return a text field of a record, joining a list of texts; raise ``InvalidDocument`` for other types."""
    value = record.get(name)
    if value is None:
        return ""
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "; ".join(" ".join(item.split()) for item in value if item.strip())
    raise InvalidDocument(f"{name}: a text is expected")


def text_list(record: Mapping[str, Any], name: str) -> list[str]:
    """Return a list field of a record without empty texts; a single text becomes a list of one."""
    value = record.get(name) or []
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise InvalidDocument(f"{name}: a list of texts is expected")
    return [" ".join(item.split()) for item in items if item.strip()]


def _check(name: str, value: str, limit: int, *checks: Callable[[str], str]) -> None:
    if len(value) > limit:
        raise InvalidDocument(f"{name}: longer than {limit} characters")
    for check in checks:
        try:
            check(value)
        except ValueError as error:
            raise InvalidDocument(f"{name}: {error}") from error


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
