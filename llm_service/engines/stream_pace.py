"""How often the readers of streams are told of new text."""

import time
from collections.abc import Callable

SECONDS_PER_STREAM = 0.003
"""Telling one reader takes the machine about a tenth of this (decode, frame, event, socket)."""


class StreamPace:
    """Says when new text is due: every ``interval_s`` seconds, less often where many read along.

    A small model writes a token in ten milliseconds. Telling of each alone takes a tenth of the
    processor from the engine on two cores, and nobody reads so fast; a large model takes longer for
    a token than the interval, and each is told at once. 0 tells of each token always.
    """

    def __init__(self, interval_s: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self._interval_s = interval_s
        self._clock = clock
        self._told_at = clock()

    def is_due(self, streams: int) -> bool:
        """Say whether the text of ``streams`` streams is to be told now; if so, the interval begins anew."""
        now = self._clock()
        if self._interval_s and now - self._told_at < max(self._interval_s, streams * SECONDS_PER_STREAM):
            return False
        self._told_at = now
        return True
