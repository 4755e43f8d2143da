"""Calls over HTTP from one thread: callers on kept-alive connections, plain answers and streams alike.

One thread that waits for all sockets at once, and parses nothing while the clock runs, takes less of
the processor beside the service than a thread for each stream that wakes up at every token.
"""

import contextlib
import json
import select
import selectors
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from bench.processes import HOST, MeasuringFailed

ANSWER_TIMEOUT_S = 300.0
NO_STORE = {"Cache-Control": "no-store"}
_LAST_CHUNK = b"\r\n0\r\n\r\n"


@dataclass(frozen=True)
class Call:
    """A POST of a JSON body."""

    path: str
    body: Mapping[str, object]
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        """The bytes of the request."""
        body = json.dumps(self.body, ensure_ascii=False).encode()
        own = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        head = f"POST {self.path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n{own}"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@dataclass(frozen=True)
class Answer:
    """A whole response; its moments are seconds of ``time.perf_counter``."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    sent_at: float
    first_at: float
    """When the first byte of the body came: of a stream, the first token's text."""
    done_at: float

    @property
    def first_s(self) -> float:
        """Seconds from the sending to the first byte of the body."""
        return self.first_at - self.sent_at

    @property
    def seconds(self) -> float:
        """Seconds from the sending to the last byte."""
        return self.done_at - self.sent_at

    def json(self) -> dict[str, Any]:
        """Return the answer as an object: of a stream, its last one."""
        if not self.headers.get("content-type", "").startswith("text/event-stream"):
            found: dict[str, Any] = json.loads(self.body)
            return found
        events = [line[6:] for line in self.body.splitlines() if line.startswith(b"data: ")]
        if len(events) < 2 or events[-1] != b"[DONE]":
            raise MeasuringFailed(f"a stream ended with {self.body[-300:]!r}")
        last: dict[str, Any] = json.loads(events[-2])
        return last


class Caller:
    """One kept-alive connection. It need not be idle when it is closed: that is how callers leave."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port), timeout=ANSWER_TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()
        self._head_end = -1
        self._status, self._headers = 0, dict[str, str]()
        self._sent_at = self.first_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self.socket.close()

    def send(self, request: bytes) -> None:
        """Send a request; the answer to the one before must have been received."""
        self._received.clear()
        self._head_end, self._sent_at, self.first_at = -1, time.perf_counter(), 0.0
        self.socket.sendall(request)

    def receive(self) -> Answer | None:
        """Take what has come, waiting for something; returns the answer when it is whole."""
        piece = self.socket.recv(262144)
        now = time.perf_counter()
        if not piece:
            raise MeasuringFailed(f"the service hung up after {bytes(self._received[-300:])!r}")
        self._received += piece
        if self._head_end < 0:
            self._read_head()
        if self._head_end < 0:
            return None
        if not self.first_at and len(self._received) > self._head_end:
            self.first_at = now
        if not self._is_whole():
            return None
        return Answer(self._status, self._headers, self._body(), self._sent_at, self.first_at, now)

    def has_received(self) -> bool:
        """Whether something has come that was not taken yet."""
        return bool(select.select([self.socket], [], [], 0)[0])

    def call(self, request: bytes) -> Answer:
        """Send a request and wait for the whole answer, which has to be a 200."""
        self.send(request)
        return checked(self.rest())

    def rest(self) -> Answer:
        """Wait for the whole answer."""
        while (answer := self.receive()) is None:
            pass
        return answer

    def wait_for_body(self) -> float:
        """Wait for the first byte of the body; returns its moment."""
        while not self.first_at:
            self.receive()
        return self.first_at

    def _read_head(self) -> None:
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        status_line, *lines = bytes(self._received[:end]).decode("latin-1").split("\r\n")
        self._status = int(status_line.split()[1])
        pairs = (line.partition(":") for line in lines)
        self._headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        self._head_end = end + 4

    def _is_whole(self) -> bool:
        length = self._headers.get("content-length")
        if length is not None:
            return len(self._received) >= self._head_end + int(length)
        return self._received.endswith(_LAST_CHUNK)

    def _body(self) -> bytes:
        body = bytes(self._received[self._head_end :])
        return body if "content-length" in self._headers else _joined(body)


def call_all(port: int, calls: Sequence[Call], callers: int) -> tuple[list[Answer], float]:
    """Make calls, ``callers`` at a time; returns the answers in order, and the seconds from the first
    byte sent to the last received. Raises ``MeasuringFailed`` unless all are answered 200.
    """
    requests = list(enumerate(call.encoded() for call in calls))[::-1]
    answers: dict[int, Answer] = {}
    waiting: dict[Caller, int] = {}
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(Caller(port)) for _ in range(min(callers, len(calls)))]
        selector = stack.enter_context(selectors.DefaultSelector())
        started = time.perf_counter()
        for caller in connections:
            selector.register(caller.socket, selectors.EVENT_READ, caller)
            waiting[caller], request = requests.pop()
            caller.send(request)
        while waiting:
            ready = selector.select(ANSWER_TIMEOUT_S)
            if not ready:
                raise MeasuringFailed(f"nothing was received for {ANSWER_TIMEOUT_S:.0f} s")
            for key, _ in ready:
                caller = key.data
                answer = caller.receive()
                if answer is None:
                    continue
                answers[waiting.pop(caller)] = answer
                if requests:
                    waiting[caller], request = requests.pop()
                    caller.send(request)
                else:
                    # The service hangs up on idle connections after some seconds.
                    selector.unregister(caller.socket)
        seconds = time.perf_counter() - started
    return [checked(answers[number]) for number in range(len(calls))], seconds


def checked(answer: Answer) -> Answer:
    """Return an answer that is a 200; raises ``MeasuringFailed`` for any other."""
    if answer.status != 200:
        raise MeasuringFailed(f"status {answer.status}, {answer.body[:300]!r}")
    return answer


def _joined(chunks: bytes) -> bytes:
    """Return a chunked body without its framing."""
    parts: list[bytes] = []
    at = 0
    while True:
        line_end = chunks.index(b"\r\n", at)
        size = int(chunks[at:line_end].split(b";")[0], 16)
        if not size:
            return b"".join(parts)
        parts.append(chunks[line_end + 2 : line_end + 2 + size])
        at = line_end + 2 + size + 2
