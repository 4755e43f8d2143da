"""The one error of this package: what went wrong and how to mend it."""

from __future__ import annotations


class DevError(Exception):
    """A fault the developer can mend.

    `status` is the process's exit status; `mend` says what to do next and may be several lines.
    """

    def __init__(self, message: str, mend: str = "", status: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend
        self.status = status


class InterruptedByUser(DevError):
    """Ctrl-C or a termination signal, after everything begun has been undone."""

    def __init__(self, signum: int) -> None:
        super().__init__("interrupted", status=128 + signum)
