"""Types of texts in requests."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

MAX_ID_CHARS = 200
MAX_STORED_ID_CHARS = 4_000
"""Limit of ids stored by other programs; Postgres's index takes no longer ones."""

ADDRESSABLE = re.compile(
    r"^(?!(?:.*/)?\.{1,2}(?:/|$))[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*[^\s\u0000-\u001f\u007f-\u009f\u2028\u2029]"
    r"[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$"
)
"""Ids that fit into a path, so that a stored document can be deleted."""

_NO_NULL_CHARACTER = r"^[^\u0000]*$"

# `\s` of JSON Schema (ECMAScript) lacks the separators U+001C to U+001F and U+0085, which are blank in Python.
_NOT_BLANK = r"^[^\u0000]*[^\s\u0000\u001c-\u001f\u0085][^\u0000]*$"


def check_text(value: str) -> str:
    """Return ``value``; raise ``ValueError`` for characters that Postgres or UTF-8 cannot hold."""
    if "\0" in value:
        raise ValueError("holds a null character")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError("contains an unpaired surrogate") from error
    return value


def check_filled(value: str) -> str:
    """Return a text that is not blank; raise ``ValueError``."""
    if not value.strip():
        raise ValueError("is empty")
    return check_text(value)


def check_addressable(value: str) -> str:
    """Return an id that fits into a path; raise ``ValueError``."""
    if not ADDRESSABLE.fullmatch(value):
        raise ValueError("holds a control character, or is a path such as '..'")
    return value


Text = Annotated[str, AfterValidator(check_text), Field(json_schema_extra={"pattern": _NO_NULL_CHARACTER})]
FilledText = Annotated[str, AfterValidator(check_filled), Field(json_schema_extra={"pattern": _NOT_BLANK})]

DocumentId = Annotated[
    str,
    AfterValidator(check_filled),
    AfterValidator(check_addressable),
    Field(max_length=MAX_ID_CHARS, json_schema_extra={"pattern": ADDRESSABLE.pattern}),
]
