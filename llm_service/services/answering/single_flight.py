"""Single flight: callers share identical running work."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Hashable, Iterator
from functools import partial
from typing import Generic, TypeVar

from services.deadline import Deadline

T = TypeVar("T")


class Flight(Generic[T]):
    """Work running in a task of its own, with all items produced so far.

    Items are kept until the flight ends, for callers that join late. Memory is bounded by the length of
    the work: an answer has at most as many pieces as tokens. ``on_over`` is called when it has ended, failed or been
    cancelled.
    """

    def __init__(self, source: AsyncGenerator[T, None], on_over: Callable[["Flight[T]"], None]) -> None:
        self.callers = 0
        self._on_over = on_over
        self._items: list[T] = []
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._run(source))
        self._task.add_done_callback(self._land)

    async def follow(self, deadline: Deadline) -> AsyncGenerator[T, None]:
        """Yield all items from the first; raise the work's exception, or ``DeadlineExceeded``."""
        at = 0
        while True:
            while at < len(self._items):
                yield self._items[at]
                at += 1
            if self._task.done():
                self._task.result()
                return
            await deadline.wait(self._news.wait())

    def cancel(self) -> None:
        """Stop the work."""
        self._task.cancel()

    async def _run(self, source: AsyncGenerator[T, None]) -> None:
        async with contextlib.aclosing(source):
            async for item in source:
                self._items.append(item)
                self._announce()

    def _land(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            task.exception()  # retrieve it, or asyncio logs it when all callers have left
        self._announce()
        self._on_over(self)

    def _announce(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


class SingleFlight(Generic[T]):
    """Flights by key. A flight ends with its work or its last caller."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, Flight[T]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    @contextlib.contextmanager
    def board(self, key: Hashable, start: Callable[[], AsyncGenerator[T, None]]) -> Iterator[tuple[Flight[T], bool]]:
        """Join the flight of ``key``, starting one if there is none; the second value is whether it was started."""
        flight = self._flights.get(key)
        first = flight is None
        if flight is None:
            flight = self._flights[key] = Flight(start(), partial(self._forget, key))
        flight.callers += 1
        try:
            yield flight, first
        finally:
            flight.callers -= 1
            if flight.callers == 0:
                # Remove it at once: new callers must not join a flight that is being cancelled.
                self._forget(key, flight)
                flight.cancel()

    def _forget(self, key: Hashable, flight: Flight[T]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
