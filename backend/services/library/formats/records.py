"""Records of a file, recognised by their fields, and the problems found in them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from adapters.ports.documents import Document
from services.library.documents import Draft, InvalidDocument, check_document, document_id
from services.library.formats.dictionary import entry_drafts, is_entry, is_phrase, phrase_draft

Unit = Literal["record", "line", "row", "page"]


class NotReadable(Exception):
    """Content that cannot be read as a whole; the message is one line without the file's name."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A skipped record or part of a record."""

    index: int
    """Record number from 0, line, row or page number from 1, or the ``id`` of a table row."""
    reason: str
    unit: Unit = "record"

    def __str__(self) -> str:
        return f"{self.unit} {self.index}: {self.reason}"


@dataclass(slots=True)
class ParsedRecords:
    """The documents of a file and its problems."""

    source: str = ""
    """Name of the file, or a substitute for it."""
    records: list[list[Document]] = field(default_factory=list)
    """The documents of each record; those of one record are stored together or not at all."""
    problems: list[Problem] = field(default_factory=list)
    repeated: int = 0
    """Number of duplicates in the file; the first of each is kept."""
    note: str = ""
    """How the file was read, where that was not certain."""

    @property
    def documents(self) -> list[Document]:
        """Every document, in the order of the file."""
        return [document for record in self.records for document in record]


class RecordCollector:
    """Turns the records of one file into documents, one record at a time.

    Ids derive from what a correction does not change, so that a corrected gloss updates the stored document instead of
    adding a second one: from the file's name, so that two dictionaries do not overwrite each other, and from the key
    of a draft; several of one key (homographs, examples of one entry) are distinguished by their order.

    Args:
        source: name of the file, kept as ``metadata.source``; empty for documents that come from no file.
        unit: what the indexes of records count.

    """

    def __init__(self, source: str = "", unit: Unit = "record") -> None:
        self.parsed = ParsedRecords(source)
        self.unit = unit
        self._seen: dict[tuple[str, ...], set[tuple[str, ...]]] = {}

    def add(self, record: Any, index: int) -> None:
        """Add a record of any kind."""
        try:
            drafts, reasons = _read(record)
        except InvalidDocument as error:
            self.problem(index, str(error))
            return
        for reason in reasons:
            self.problem(index, reason)
        self.add_drafts(drafts, index)

    def add_drafts(self, drafts: Iterable[Draft], index: int) -> None:
        """Add the drafts of one record."""
        documents = []
        for draft in drafts:
            twins = self._seen.setdefault((draft.prefix, *draft.key), set())
            if draft.twin in twins:
                self.parsed.repeated += 1
                continue
            twins.add(draft.twin)
            document = self._named(draft, len(twins) - 1)
            try:
                check_document(document)
            except InvalidDocument as error:
                self.problem(index, str(error))
            else:
                documents.append(document)
        if documents:
            self.parsed.records.append(documents)

    def _named(self, draft: Draft, place: int) -> Document:
        source = self.parsed.source
        metadata = {**draft.metadata, "source": source} if source else dict(draft.metadata)
        name = document_id(draft.prefix, source, *draft.key, str(place))
        return Document(name, draft.kind, draft.content, metadata)

    def problem(self, index: int, reason: str) -> None:
        """Record a skipped part and the reason."""
        self.parsed.problems.append(Problem(index, reason, self.unit))


def read_records(records: Sequence[Any], source: str = "") -> ParsedRecords:
    """Return the documents of dictionary entries and phrase pairs, which may be mixed."""
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
