"""Wire models of ``/api/rag/sources`` and ``/api/rag/uploads``."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from adapters.ports.store import Source
from schemas.texts import FilledText
from schemas.wire import Reply

MAX_NAME_CHARS = 200
SHOWN_REFUSALS = 200
# No control characters, and no folders.
_FILE_NAME = r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029/\\]*$"


def _check_name(value: str) -> str:
    if "/" in value or "\\" in value or not value.isprintable():
        raise ValueError("a file's name without folders and control characters is expected")
    return value


FileName = Annotated[
    FilledText, AfterValidator(_check_name), Field(max_length=MAX_NAME_CHARS, json_schema_extra={"pattern": _FILE_NAME})
]
SourceName = Annotated[FilledText, Field(max_length=1_000)]


class SourcesResponse(Reply):
    """The sources, the last changed first."""

    sources: list[Source]


class SourceDeleted(Reply):
    """The documents loaded from files under this name are deleted."""

    source: str
    deleted: int = Field(description="Documents; 0: there were none")


class RefusedPart(Reply):
    """A part of a file that is not loaded."""

    unit: Literal["record", "line", "row", "page", "document"]
    at: Annotated[str, BeforeValidator(str)] = Field(
        validation_alias="index", description="Records from 0, others from 1; of a document its id"
    )
    reason: str


class UploadReport(Reply):
    """Changes that a load makes or would make, in documents."""

    source: str
    inserted: int
    updated: int
    unchanged: int
    refused: int
    refusals: list[RefusedPart] = Field(description=f"The first {SHOWN_REFUSALS}")
    repeated: int = Field(description="Duplicates in the file")
    gone: int = Field(description="Documents of an earlier load that the file no longer contains")
    removed: int = Field(description="Documents removed with prune")
    note: str = Field(description="How the file was read, where that was not certain")


class ProgressEvent(Reply):
    """Event of a load: documents so far, and of how many."""

    done: int
    total: int
