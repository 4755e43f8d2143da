"""The time one request may take."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from services.errors import DeadlineExceeded

T = TypeVar("T")


class Deadline:
    """Bounds every wait of one request by the same moment.

    Each wait is bounded by itself, since a streamed answer is produced by more than one task and
    ``asyncio.timeout`` belongs to the task that entered it. ``None`` is no limit: for work whose
    callers have limits of their own.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._at = None if seconds is None else asyncio.get_running_loop().time() + seconds

    async def wait(self, awaitable: Awaitable[T]) -> T:
        """Await; raise ``DeadlineExceeded`` when the moment comes first."""
        if self._at is None:
            return await awaitable
        try:
            async with asyncio.timeout_at(self._at):
                return await awaitable
        except TimeoutError:
            raise DeadlineExceeded(f"no answer within {self._seconds:g} s") from None
