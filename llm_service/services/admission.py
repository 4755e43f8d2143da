"""Bounded concurrency with a bounded FIFO queue."""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator

from engines.errors import Overloaded

SMOOTHING = 0.2
FIRST_GUESS_S = 2.0


class Admission:
    """Admits at most ``max_running`` requests to the engine and ``max_waiting`` to the queue.

    Requests wait here instead of in the engine, so that a cancelled or expired one costs no computation.
    """

    def __init__(self, max_running: int, max_waiting: int) -> None:
        self.max_running = max_running
        self.max_waiting = max_waiting
        self.running = 0
        self.waiting = 0
        self._places = asyncio.Semaphore(max_running)
        self._typical_s = FIRST_GUESS_S

    @property
    def capacity(self) -> int:
        """Maximum number of requests, running and waiting together."""
        return self.max_running + self.max_waiting

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place in the engine; raise ``Overloaded`` when the queue is full."""
        if self._places.locked() and self.waiting >= self.max_waiting:
            raise Overloaded("the service is at its limit; try again later", retry_after_s=self.retry_after_s)
        self.waiting += 1
        try:
            await self._places.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        started = time.monotonic()
        try:
            yield
        finally:
            self.running -= 1
            self._places.release()
            self._typical_s += SMOOTHING * (time.monotonic() - started - self._typical_s)

    @property
    def retry_after_s(self) -> float:
        """Estimated seconds until a place is free, from the queue length and the recent pace."""
        rounds = (self.waiting + 1) / self.max_running
        return float(min(60, max(1, math.ceil(rounds * self._typical_s))))
