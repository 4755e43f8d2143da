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


def _check_text(value: str) -> str:
    if "\0" in value:
        raise ValueError("holds a null character")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError("contains an unpaired surrogate") from error
    return value


def _check_not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty")
    return value


def _check_addressable(value: str) -> str:
    if not ADDRESSABLE.fullmatch(value):
        raise ValueError("holds a control character, or is a path such as '..'")
    return value


Text = Annotated[str, AfterValidator(_check_text), Field(json_schema_extra={"pattern": _NO_NULL_CHARACTER})]
FilledText = Annotated[
    str, AfterValidator(_check_text), AfterValidator(_check_not_blank), Field(json_schema_extra={"pattern": _NOT_BLANK})
]

DocumentId = Annotated[
    str,
    AfterValidator(_check_text),
    AfterValidator(_check_not_blank),
    AfterValidator(_check_addressable),
    Field(max_length=MAX_ID_CHARS, json_schema_extra={"pattern": ADDRESSABLE.pattern}),
]
