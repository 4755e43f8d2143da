"""Callers over HTTP: threads with a kept-alive connection each, and probers that time a health route.

Threads that wait on sockets rather than an async client: they cost the least processor time beside
the services, and nothing is parsed before the clock has stopped.
"""

import http.client
import itertools
import math
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from bench.processes import HOST, MeasuringFailed

REQUEST_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Reply:
    """A response's body, and how long it took from the first byte sent to the last received."""

    body: bytes
    seconds: float


@dataclass(frozen=True)
class Load:
    """Replies in the order of the requests, and the seconds from the first request to the last reply."""

    replies: tuple[Reply, ...]
    seconds: float


class _Caller(threading.Thread):
    """One caller: takes requests from the common list until none is left.

    A daemon, so that an interrupted benchmark does not wait for answers.
    """

    def __init__(self, port: int, path: str, work: Iterator[tuple[int, bytes]], lock: threading.Lock) -> None:
        super().__init__(daemon=True)
        self.replies: dict[int, Reply] = {}
        self.fault: Exception | None = None
        self._connection = http.client.HTTPConnection(HOST, port, timeout=REQUEST_TIMEOUT_S)
        self._path, self._work, self._lock = path, work, lock
        self._connection.connect()

    def run(self) -> None:
        """Call until there is nothing left to ask, or a call fails."""
        try:
            while True:
                with self._lock:
                    index, body = next(self._work, (-1, b""))
                if index < 0:
                    return
                self.replies[index] = _post(self._connection, self._path, body)
        except (OSError, http.client.HTTPException, MeasuringFailed) as fault:
            self.fault = fault
        finally:
            self._connection.close()


def post_all(port: int, path: str, bodies: Sequence[bytes], callers: int) -> Load:
    """Post every body, ``callers`` at a time; raises ``MeasuringFailed`` unless all are answered 200."""
    work, lock = iter(enumerate(bodies)), threading.Lock()
    threads = [_Caller(port, path, work, lock) for _ in range(callers)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    for thread in threads:
        if thread.fault is not None:
            raise MeasuringFailed(f"POST {path}: {thread.fault}") from thread.fault
    replies = {index: reply for thread in threads for index, reply in thread.replies.items()}
    return Load(tuple(replies[index] for index in range(len(bodies))), seconds)


def _post(connection: http.client.HTTPConnection, path: str, body: bytes) -> Reply:
    started = time.perf_counter()
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    content = response.read()
    seconds = time.perf_counter() - started
    if response.status != http.client.OK:
        raise MeasuringFailed(f"status {response.status}, {content[:300]!r}")
    return Reply(content, seconds)


class Prober:
    """Times GETs of one path, one after the other, while its ``with`` block runs."""

    def __init__(self, port: int, path: str, interval_s: float) -> None:
        self.path = path
        self.latencies_ms: list[float] = []
        self._port = port
        self._interval_s = interval_s
        self._done = threading.Event()
        self._fault: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=f"prober {path}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join(REQUEST_TIMEOUT_S)
        if self._fault is not None and error is None:
            raise MeasuringFailed(f"{self.path} failed under load: {self._fault}") from self._fault

    def _run(self) -> None:
        connection = http.client.HTTPConnection(HOST, self._port, timeout=REQUEST_TIMEOUT_S)
        try:
            for _ in itertools.count():
                started = time.perf_counter()
                connection.request("GET", self.path)
                response = connection.getresponse()
                response.read()
                self.latencies_ms.append(1000 * (time.perf_counter() - started))
                if response.status != http.client.OK:
                    raise MeasuringFailed(f"status {response.status}")
                if self._done.wait(self._interval_s):
                    return
        except (OSError, http.client.HTTPException, MeasuringFailed) as fault:
            self._fault = fault
        finally:
            connection.close()


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of all values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
