"""An event loop in a thread, for a library that cannot use the caller's loop."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """Runs coroutines on a selector event loop in a daemon thread.

    Psycopg needs ``loop.add_reader``, which Windows' Proactor loop lacks, and uvicorn uses the
    Proactor loop on Windows. https://www.psycopg.org/psycopg3/docs/advanced/async.html
    """

    def __init__(self) -> None:
        self._loop = asyncio.SelectorEventLoop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="document-store", daemon=True)
        self._thread.start()

    async def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return the coroutine's result; cancelling the caller cancels the coroutine."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._loop))

    async def close(self) -> None:
        """Stop the loop and wait for its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join)
        self._loop.close()


def needs_loop_thread(loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether psycopg cannot use ``loop``."""
    proactor: type | None = getattr(asyncio, "ProactorEventLoop", None)
    return proactor is not None and isinstance(loop, proactor)
