"""Ctrl-C and termination signals as a flag that everything polls.

A flag instead of an exception, because an exception would hit at any line, also in the middle of
tidying up.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType

from devtools.errors import InterruptedByUser


class Stop:
    """Says whether, how often, and by which signal this process was asked to stop."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.signum: int = signal.SIGINT
        self.times = 0

    def install(self) -> None:
        """Takes over SIGINT, SIGTERM, SIGHUP and (Windows) SIGBREAK.

        SIGINT is set explicitly too: a process started in the background by a shell inherits it
        ignored.
        """
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
            number = getattr(signal, name, None)
            if number is not None:
                signal.signal(number, self._on_signal)

    def _on_signal(self, signum: int, _frame: FrameType | None) -> None:
        self.request(signum)

    def request(self, signum: int = signal.SIGINT) -> None:
        """Asks for the stop, as a signal would."""
        if not self._event.is_set():
            self.signum = signum
        self.times += 1
        self._event.set()

    @property
    def requested(self) -> bool:
        """Whether a stop was asked for."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleeps up to `seconds`, less when a stop is asked for; says whether it was."""
        return self._event.wait(seconds)

    def check(self) -> None:
        """Raises InterruptedByUser when a stop was asked for."""
        if self.requested:
            raise InterruptedByUser(self.signum)
