"""The error type of this package: message and remedy."""

from __future__ import annotations


class DevError(Exception):
    """A fault that the developer can correct.

    `status` is the process's exit status; `remedy` is advice of one or more lines.
    """

    def __init__(self, message: str, remedy: str = "", status: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.status = status


class InterruptedByUser(DevError):
    """Ctrl-C or a termination signal; raised after cleaning up."""

    def __init__(self, signum: int) -> None:
        super().__init__("interrupted", status=128 + signum)
