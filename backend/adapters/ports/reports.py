"""Readers' reports about the dictionary, counted."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

ReportKind = Literal["missing", "wanted", "error", "helpful", "unhelpful"]
"""``missing``: a word of a question that is not in the dictionary; ``wanted``: a word that a reader misses; ``error``:
a wrong entry; ``helpful`` and ``unhelpful``: a reader's opinion of an answer.
"""


@dataclass(frozen=True, slots=True)
class GivenReport:
    """A report: ``subject`` is a folded word or the id of an entry, ``note`` a reader's words or how the answer was
    made.
    """

    kind: ReportKind
    subject: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """Equal reports, counted."""

    id: int
    kind: ReportKind
    subject: str
    """A folded word, or the id of an entry; empty where an answer had none."""
    note: str
    """A reader's words, or how the answer was made."""
    count: int
    first_at: datetime
    last_at: datetime
    content: str | None
    """Beginning of the entry's text, while it exists."""


class ReportStore(Protocol):
    """Reports, counted, of each kind up to a number of rows."""

    async def add(self, given: Mapping[GivenReport, int]) -> int:
        """Add to the counts; return how many reports found no room. Raises ``StoreUnavailable``."""

    async def all(self, kind: str | None = None) -> list[Report]:
        """Return the reports, by kind, the most frequent first. Raises ``StoreUnavailable``."""

    async def delete(self, report_id: int) -> bool:
        """Delete a report; return whether it existed. Raises ``StoreUnavailable``."""
