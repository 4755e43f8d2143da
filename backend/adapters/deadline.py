"""The moment until which a call may take, whatever it tries."""

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
        """Seconds that are left; never negative."""
        return max(0.0, self._at - time.monotonic())

    def allows(self, seconds: float) -> bool:
        """Tell whether waiting that long leaves any time."""
        return seconds < self.remaining_s

    async def within(self, awaitable: Awaitable[T]) -> T:
        """Return what ``awaitable`` gives, or raise ``TimeoutError`` once the time has passed."""
        async with asyncio.timeout(self.remaining_s):
            return await awaitable
