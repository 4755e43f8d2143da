"""Deadline of a call, shared by all its attempts."""

import asyncio
import time
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class Deadline:
    """``seconds`` from now. Awaiting past it raises ``TimeoutError``."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    @property
    def remaining_s(self) -> float:
        """Remaining seconds; never negative."""
        return max(0.0, self._at - time.monotonic())

    def allows(self, seconds: float) -> bool:
        """Return whether any time is left after waiting ``seconds``."""
        return seconds < self.remaining_s

    async def within(self, awaitable: Awaitable[T]) -> T:
        """Return the result of ``awaitable``; raise ``TimeoutError`` at the deadline."""
        async with asyncio.timeout(self.remaining_s):
            return await awaitable
