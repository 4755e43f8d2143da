"""Records of a file, each recognised by its fields, and what of them could not be used."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from adapters.base import Document
from services.documents import InvalidDocument, check_document
from services.formats.dictionary import entry_drafts, is_entry
from services.formats.naming import Draft, Naming
from services.formats.phrases import is_phrase, phrase_draft

Unit = Literal["record", "line", "row"]


@dataclass(frozen=True, slots=True)
class Problem:
    """A record, or a part of one, that was left out."""

    index: int
    """Position in the file: of a record from 0, of a line from 1; or the ``id`` of a table's row."""
    reason: str
    unit: Unit = "record"

    def __str__(self) -> str:
        return f"{self.unit} {self.index}: {self.reason}"


@dataclass(slots=True)
class ParsedRecords:
    """What a file holds, and what of it could not be used."""

    source: str = ""
    """Name of the file, or what stands for it."""
    records: list[list[Document]] = field(default_factory=list)
    """The documents of each record; those of one record are stored together or not at all."""
    problems: list[Problem] = field(default_factory=list)
    repeated: int = 0
    """Documents that the file holds more than once; the first is kept."""

    @property
    def documents(self) -> list[Document]:
        """Every document, in the order of the file."""
        return [document for record in self.records for document in record]


class RecordCollector:
    """Turns the records of one file into documents, one record at a time."""

    def __init__(self, source: str = "", unit: Unit = "record") -> None:
        self.parsed = ParsedRecords(source)
        self._unit = unit
        self._naming = Naming(source)

    def add(self, record: Any, index: int) -> None:
        """Take a record of any kind."""
        try:
            drafts, reasons = _read(record)
        except InvalidDocument as error:
            self.problem(index, str(error))
            return
        for reason in reasons:
            self.problem(index, reason)
        self.add_drafts(drafts, index)

    def add_drafts(self, drafts: Iterable[Draft], index: int) -> None:
        """Take what a record was read as."""
        documents = []
        for draft in drafts:
            document = self._naming.document(draft)
            # A dictionary that prints the same entry or example twice is served well by one.
            if document is None:
                self.parsed.repeated += 1
                continue
            try:
                check_document(document)
            except InvalidDocument as error:
                self.problem(index, str(error))
            else:
                documents.append(document)
        if documents:
            self.parsed.records.append(documents)

    def problem(self, index: int, reason: str) -> None:
        """Note what was left out, and why."""
        self.parsed.problems.append(Problem(index, reason, self._unit))


def read_records(records: Sequence[Any], source: str = "") -> ParsedRecords:
    """Return the documents of dictionary entries and phrase pairs, in any mixture."""
    collector = RecordCollector(source)
    for index, record in enumerate(records):
        collector.add(record, index)
    return collector.parsed


def _read(record: Any) -> tuple[list[Draft], list[str]]:
    if not isinstance(record, Mapping):
        raise InvalidDocument("not an object")
    if is_entry(record):
        return entry_drafts(record)
    if is_phrase(record):
        return [phrase_draft(record)], []
    raise InvalidDocument("neither a dictionary entry (lemma, gloss_bora or gloss_es) nor a phrase pair")
