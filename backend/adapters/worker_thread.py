"""One background thread that does blocking jobs in turn, with a bounded queue."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class TooManyJobs(Exception):
    """The queue is full."""


class WorkerThread:
    """Jobs run one after another, off the event loop.

    A daemon thread, unlike an executor's: a download under way must not keep the process from ending.
    """

    def __init__(self, name: str, max_waiting: int) -> None:
        self._name = name
        self._jobs: queue.Queue[tuple[Future[Any], Callable[[], Any]] | None] = queue.Queue(max_waiting)
        self._thread: threading.Thread | None = None
        self._start_lock = threading.Lock()

    def submit(self, job: Callable[[], T]) -> "Future[T]":
        """Queue a job; raise ``TooManyJobs`` when the queue is full."""
        future: Future[T] = Future()
        try:
            self._jobs.put_nowait((future, job))
        except queue.Full:
            raise TooManyJobs(f"{self._name}: {self._jobs.maxsize} jobs are waiting") from None
        with self._start_lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
        return future

    def close(self, timeout_s: float) -> None:
        """Drop what waits and give the job under way ``timeout_s`` seconds to end."""
        while True:
            try:
                item = self._jobs.get_nowait()
            except queue.Empty:
                break
            if item is not None:
                item[0].cancel()
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while (item := self._jobs.get()) is not None:
            future, job = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(job())
            except BaseException as error:  # noqa: BLE001 - handed to whoever waits for the job
                future.set_exception(error)
            del item, future, job  # what a job holds is not kept alive until the next one
