"""What ``/api/llm/health`` says of the queue, asked over and over."""

import time
from collections.abc import Callable
from typing import NamedTuple

from bench.processes import HOST, MeasuringFailed
from bench.wire import Caller

_REQUEST = f"GET /api/llm/health HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
POLL_S = 0.002


class Queue(NamedTuple):
    """Requests that are being generated, and those that wait for a place."""

    running: int
    waiting: int


def queue_of(caller: Caller) -> Queue:
    """Ask once."""
    said = caller.call(_REQUEST).json()["queue"]
    return Queue(int(said["running"]), int(said["waiting"]))


def wait_for_queue(port: int, wanted: Callable[[Queue], bool], timeout_s: float = 60.0) -> float:
    """Ask until the queue is as wanted; returns the moment of that answer, as ``time.perf_counter`` has it."""
    # A connection of its own each time: the service hangs up on those that are idle for long.
    with Caller(port) as caller:
        deadline = time.perf_counter() + timeout_s
        while True:
            queue = queue_of(caller)
            now = time.perf_counter()
            if wanted(queue):
                return now
            if now > deadline:
                raise MeasuringFailed(f"the queue was still {queue} after {timeout_s:.0f} s")
            time.sleep(POLL_S)
