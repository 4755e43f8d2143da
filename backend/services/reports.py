"""Reports about the dictionary: missing words, faults of entries, opinions of answers.

Nothing personal is kept: no question, conversation, address or key. Reports are written in the background, so that no
answer fails or waits because of one; reports that cannot be written are lost, and counted.
"""

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from adapters.ports.reports import GivenReport, ReportStore
from adapters.ports.store import StoreUnavailable
from observability.metrics import Metrics
from services.mentor.lexicon.folding import fold, words

logger = logging.getLogger(__name__)

MAX_WORD_CHARS: Final = 60
MAX_WORDS: Final = 3
"""More words than these are a sentence, which may say something about a person."""
WAITING: Final = 1_000
"""Different reports that wait to be written."""
_PAUSE_S: Final = 0.5
_LAST_WRITE_S: Final = 2.0
# An address or a number is no word, whatever its letters.
_NO_WORD = re.compile(r"[\d@/\\:]|\w\.\w")


def reported_word(text: str) -> str:
    """Return a word, or a few, as it is counted: folded; empty without any word."""
    folded = fold(text)
    if _NO_WORD.search(text) or len(folded) > MAX_WORD_CHARS or len(folded.split()) > MAX_WORDS:
        return ""
    return folded


class Reports:
    """Collects reports and writes them in the background; collects none unless ``enabled``."""

    def __init__(self, store: ReportStore, metrics: Metrics, *, enabled: bool = True) -> None:
        self._store = store
        self._metrics = metrics
        self.enabled = enabled
        self._waiting: Counter[GivenReport] = Counter()
        self._given = asyncio.Event()

    def note_missing(self, missing: Sequence[str], question: str) -> None:
        """Count words of ``question`` that are not in the dictionary; skip anything that is not a word."""
        # Of an address, the missing words are its parts.
        parts = {part for token in question.split() if _NO_WORD.search(token) for part in words(token)}
        for word in dict.fromkeys(map(reported_word, missing)):
            if word and parts.isdisjoint(word.split()):
                self.note(GivenReport("missing", word))

    def note(self, report: GivenReport) -> None:
        """Count a report, or lose it where too many wait."""
        if not self.enabled:
            return
        self._metrics.reported(report.kind)
        if len(self._waiting) >= WAITING and report not in self._waiting:
            self._metrics.lost_reports("busy", 1)
            return
        self._waiting[report] += 1
        self._given.set()

    async def run(self) -> None:
        """Write the collected reports, until cancelled."""
        while True:
            await self._given.wait()
            await self._write()
            # Reports that arrive meanwhile are written together.
            await asyncio.sleep(_PAUSE_S)

    async def close(self) -> None:
        """Write the waiting reports, or lose them after a short time; call it after ``run`` has ended."""
        try:
            async with asyncio.timeout(_LAST_WRITE_S):
                await self._write()
        except TimeoutError:
            logger.warning("reports lost: the database did not take them in time")
            self._metrics.lost_reports("unavailable", self._waiting.total())

    async def _write(self) -> None:
        self._given.clear()
        waiting, self._waiting = self._waiting, Counter()
        if not waiting:
            return
        try:
            without_room = await self._store.add(waiting)
        except asyncio.CancelledError:
            # The process stops: ``close`` writes them.
            self._waiting.update(waiting)
            raise
        except StoreUnavailable as error:
            logger.warning("reports lost: %s", error)
            self._metrics.lost_reports("unavailable", waiting.total())
        except Exception:
            # Catch everything: the task must go on with the next ones.
            logger.exception("reports lost")
            self._metrics.lost_reports("unavailable", waiting.total())
        else:
            if without_room:
                logger.warning(
                    "reports dropped: the table is full, delete handled ones", extra={"dropped": without_room}
                )
                self._metrics.lost_reports("full", without_room)
