"""Supervised threads and tasks: when one ends, for any reason, an error is logged and ``on_end`` is called.

Every thread and long-lived task of the service is started here.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any

OnEnd = Callable[[BaseException | None], None]
"""Called with the exception that ended the work; with ``None`` when it returned or was cancelled."""

logger = logging.getLogger(__name__)


def start_thread(target: Callable[[], None], name: str, on_end: OnEnd) -> threading.Thread:
    """Run ``target`` in a daemon thread; ``on_end`` is called in it."""

    def run() -> None:
        error: BaseException | None = None
        try:
            target()
        except BaseException as caught:
            logger.exception("the thread %s failed", name)
            error = caught
        on_end(error)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread


def start_task(work: Coroutine[Any, Any, None], name: str, on_end: OnEnd) -> asyncio.Task[None]:
    """Run ``work`` in a task; ``on_end`` is called in the event loop."""
    task = asyncio.create_task(work, name=name)

    def done(ended: asyncio.Task[None]) -> None:
        error = None if ended.cancelled() else ended.exception()
        if error is not None:
            logger.error("the task %s failed", name, exc_info=error)
        on_end(error)

    task.add_done_callback(done)
    return task
