"""Records of a JSON list, each recognised by its fields."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapters.base import Document
from services.documents import InvalidDocument, check_document
from services.formats.dictionary import entry_documents, is_entry
from services.formats.phrases import is_phrase, phrase_document


@dataclass(frozen=True, slots=True)
class Problem:
    """A record, or a part of one, that was left out."""

    index: int
    """Position in the file, from 0."""
    reason: str


@dataclass(slots=True)
class ParsedRecords:
    """What a file holds, and what of it could not be used."""

    documents: list[Document] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def read_records(records: Sequence[Any]) -> ParsedRecords:
    """Return the documents of dictionary entries and phrase pairs, in any mixture."""
    parsed = ParsedRecords()
    seen: set[str] = set()
    for index, record in enumerate(records):
        try:
            documents, reasons = _read(record)
        except InvalidDocument as error:
            parsed.problems.append(Problem(index, str(error)))
            continue
        parsed.problems += [Problem(index, reason) for reason in reasons]
        for document in documents:
            # A dictionary that prints the same entry or example twice is served well by one.
            if document.id in seen:
                continue
            try:
                check_document(document)
            except InvalidDocument as error:
                parsed.problems.append(Problem(index, str(error)))
                continue
            seen.add(document.id)
            parsed.documents.append(document)
    return parsed


def _read(record: Any) -> tuple[list[Document], list[str]]:
    if not isinstance(record, Mapping):
        raise InvalidDocument("not an object")
    if is_entry(record):
        return entry_documents(record)
    if is_phrase(record):
        return [phrase_document(record)], []
    raise InvalidDocument("neither a dictionary entry (lemma, gloss_bora or gloss_es) nor a phrase pair")
