"""Progress of a load: bars on a terminal, periodic lines elsewhere."""

import sys
import time
from collections.abc import Callable
from typing import NoReturn, TextIO

from tqdm import tqdm

from services.library.ingestion import Progress

LINE_EVERY_S = 10.0
_STAGES = {"store": "documents", "embed": "vectors", "rebuild": "vectors again, with another embedding model"}


class ProgressBars:
    """Displays the progress of each stage with rate and remaining time.

    On a terminal one bar per stage; elsewhere, as in a log, one line every ``LINE_EVERY_S`` seconds and
    none for a stage that ends sooner.

    Args:
        out: output stream; standard error by default.
        clock: monotonic clock, in seconds.

    """

    def __init__(self, out: TextIO | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out or sys.stderr
        self._clock = clock
        self._bar: tqdm[NoReturn] | None = None
        self._stage = ""
        self._began = self._said = 0.0

    def __call__(self, progress: Progress) -> None:
        """Show ``progress``."""
        if self._stage != progress.stage:
            self.close()
            self._stage = progress.stage
            self._began = self._said = self._clock()
        if self._out.isatty():
            self._draw(progress)
        elif self._clock() - self._said >= LINE_EVERY_S:
            self._said = self._clock()
            print(self._line(progress), file=self._out, flush=True)

    def close(self) -> None:
        """End the bar being shown."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _draw(self, progress: Progress) -> None:
        if self._bar is None:
            self._bar = tqdm(total=progress.total, desc=_STAGES[progress.stage], unit=" docs", file=self._out)
        self._bar.total = progress.total
        self._bar.update(progress.done - self._bar.n)

    def _line(self, progress: Progress) -> str:
        rate = progress.done / max(self._clock() - self._began, 1e-9)
        left_s = (progress.total - progress.done) / rate if rate else 0.0
        share = 100 * progress.done // max(progress.total, 1)
        return (
            f"{_STAGES[progress.stage]}: {progress.done} of {progress.total} ({share}%), "
            f"{rate:.0f} docs/s, {left_s:.0f} s left"
        )
