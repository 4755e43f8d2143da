"""Pace of streamed text."""

import time
from collections.abc import Callable

SECONDS_PER_STREAM = 0.003
"""A piece of one stream takes about a tenth of this (decode, frame, event, socket)."""


class StreamPace:
    """Says when new text is due: every ``interval_s`` seconds, less often with many streams.

    A small model writes a token in ten milliseconds. Sending each alone takes a tenth of the processor from the engine
    on two cores, and is faster than anyone reads; a large model takes longer for a token than the interval, so each is
    sent at once. With 0 every token is sent.
    """

    def __init__(self, interval_s: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self._interval_s = interval_s
        self._clock = clock
        self._sent_at = clock()

    def is_due(self, streams: int) -> bool:
        """Return whether the text of ``streams`` streams is due now; if so, a new interval begins."""
        now = self._clock()
        if self._interval_s and now - self._sent_at < max(self._interval_s, streams * SECONDS_PER_STREAM):
            return False
        self._sent_at = now
        return True
