"""Graceful shutdown.

On SIGTERM or Ctrl-C the server keeps its socket open for a grace period: running requests finish, new ones and
``/readyz`` get 503. After the grace period, or at a second signal, the remaining requests end with an error. Then the
server's own signal handler runs.
"""

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from types import FrameType

from workers.supervision import start_task

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name))

logger = logging.getLogger(__name__)


class Drain:
    """Counts running requests and handles the server's stop signals."""

    def __init__(self, grace_s: float, cut_off: Callable[[], Awaitable[None]]) -> None:
        self.draining = False
        self._grace_s = grace_s
        self._cut_off = cut_off
        self._over = asyncio.Event()
        self._under_way = 0
        self._previous: dict[int, signal._HANDLER] = {}
        self._task: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def request(self) -> Iterator[None]:
        """Count a request while it runs."""
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            if self.draining and not self._under_way:
                self._over.set()

    @contextlib.contextmanager
    def signals_taken_over(self) -> Iterator[None]:
        """Handle stop signals while the application runs; a no-op outside the main thread, where
        signals cannot be handled.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()

        def on_signal(number: int, frame: FrameType | None) -> None:
            if self.draining:
                loop.call_soon_threadsafe(self._over.set)
            else:
                self.draining = True
                loop.call_soon_threadsafe(self._begin, number, frame)

        self._previous = {number: signal.getsignal(number) for number in SIGNALS}
        for number in SIGNALS:
            signal.signal(number, on_signal)
        try:
            yield
        finally:
            for number, handler in self._previous.items():
                signal.signal(number, handler)

    def _begin(self, number: int, frame: FrameType | None) -> None:
        # The server must end even if draining fails.
        self._task = start_task(self._finish(), "drain", lambda _: self._hand_over(number, frame))

    async def _finish(self) -> None:
        logger.info("stopping: %d requests are running, new ones are refused", self._under_way)
        if not self._under_way:
            self._over.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), self._grace_s)
        if self._under_way:
            logger.warning("%d requests are cut off", self._under_way)
            await self._cut_off()

    def _hand_over(self, number: int, frame: FrameType | None) -> None:
        previous = self._previous.get(number)
        if callable(previous):
            previous(number, frame)
