"""Time limit of one request."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from services.errors import DeadlineExceeded

T = TypeVar("T")


class Deadline:
    """Common deadline of all waits of one request.

    Each wait has its own timeout, since several tasks produce a streamed answer and ``asyncio.timeout``
    applies only to the task that entered it. ``None``: no limit, for work whose callers have their own.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._at = None if seconds is None else asyncio.get_running_loop().time() + seconds

    async def wait(self, awaitable: Awaitable[T]) -> T:
        """Await; raise ``DeadlineExceeded`` at the deadline."""
        if self._at is None:
            return await awaitable
        try:
            async with asyncio.timeout_at(self._at):
                return await awaitable
        except TimeoutError:
            raise DeadlineExceeded(f"no answer within {self._seconds:g} s") from None
