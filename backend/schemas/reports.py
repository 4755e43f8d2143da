"""Wire models of ``/api/rag/reports``."""

from typing import Annotated, Literal

from pydantic import Field, RootModel

from adapters.ports.models import ServedBy
from adapters.ports.reports import Report
from schemas.texts import DocumentId, FilledText, Text
from schemas.wire import Reply, Wire, with_examples

MAX_NOTE_CHARS = 300
MAX_SUBJECTS = 20


class ErrorReport(Wire):
    """An entry is wrong."""

    kind: Literal["error"]
    entry: DocumentId = Field(description="Id of the entry")
    note: Annotated[Text, Field(max_length=MAX_NOTE_CHARS)] = Field(default="", description="What is wrong with it")


class WantedReport(Wire):
    """Words should be in the dictionary."""

    kind: Literal["wanted"]
    words: Annotated[list[Annotated[FilledText, Field(max_length=80)]], Field(min_length=1, max_length=MAX_SUBJECTS)]


class OpinionReport(Wire):
    """An answer helped, or did not."""

    kind: Literal["helpful", "unhelpful"]
    entries: Annotated[list[DocumentId], Field(max_length=MAX_SUBJECTS)] = Field(
        default=[], description="Ids of the entries of the answer"
    )
    answer_mode: Literal["generated", "completed", "extractive"]
    served_by: ServedBy


class ReportRequest(RootModel[Annotated[ErrorReport | WantedReport | OpinionReport, Field(discriminator="kind")]]):
    """A report of one of three forms, distinguished by ``kind``."""

    model_config = with_examples(
        {"kind": "error", "entry": "es-bora-perro", "note": "Le falta una tilde"},
        {"kind": "wanted", "words": ["zorro"]},
        {"kind": "helpful", "entries": [], "answer_mode": "extractive", "served_by": "dictionary"},
    )


class ReportAccepted(Reply):
    """The report is counted soon, unless the database is away."""

    accepted: bool = True


class ReportsResponse(Reply):
    """All reports, by kind, the most frequent first."""

    reports: list[Report]


class ReportDeleted(Reply):
    """The report is gone."""

    id: int
    deleted: bool = Field(description="false: there was none")
