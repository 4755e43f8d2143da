"""Ctrl-C and termination signals as a flag to poll.

A flag instead of an exception, because an exception could occur at any line, even during clean-up.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType

from devtools.errors import InterruptedByUser


class Stop:
    """Stop requests of this process: number and signal."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.signum: int = signal.SIGINT
        self.times = 0

    def install(self) -> None:
        """Installs handlers of SIGINT, SIGTERM, SIGHUP and (Windows) SIGBREAK.

        SIGINT is set explicitly, since a background process of a shell inherits it as ignored.
        """
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
            number = getattr(signal, name, None)
            if number is not None:
                signal.signal(number, self._on_signal)

    def _on_signal(self, signum: int, _frame: FrameType | None) -> None:
        self.request(signum)

    def request(self, signum: int = signal.SIGINT) -> None:
        """Requests a stop, same as a signal."""
        if not self._event.is_set():
            self.signum = signum
        self.times += 1
        self._event.set()

    @property
    def requested(self) -> bool:
        """Whether a stop was requested."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleeps up to `seconds`, or until a stop request; returns whether there was one."""
        return self._event.wait(seconds)

    def check(self) -> None:
        """Raises InterruptedByUser if a stop was requested."""
        if self.requested:
            raise InterruptedByUser(self.signum)
