"""Load generator: HTTP callers on kept-alive connections, driven by one thread.

One thread that waits for all sockets at once, and parses nothing while the clock runs, takes less processor
time from the server than a thread for each stream.
"""

import contextlib
import json
import re
import selectors
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

HOST = "127.0.0.1"
TIMEOUT_S = 300.0
GENERATE, EMBED, HEALTH, LIVEZ, CHAT = (
    "/api/llm/generate",
    "/api/llm/embed",
    "/api/llm/health",
    "/livez",
    "/v1/chat/completions",
)
NO_STORE = {"Cache-Control": "no-store"}
_LAST_CHUNK = b"\r\n0\r\n\r\n"
# The first event with text, in this service's own streams and in OpenAI's, whatever the spacing.
_TEXT = re.compile(rb'"(?:delta|content|text|reasoning_content)"\s*:\s*"[^"]')


class MeasuringFailed(Exception):
    """There is no figure, because something that is measured does not work."""


@dataclass(frozen=True)
class Call:
    """A POST of a JSON body, or a GET without one."""

    path: str
    body: Mapping[str, object] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        """The bytes of the request."""
        body = b"" if self.body is None else json.dumps(self.body, ensure_ascii=False).encode()
        own = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        head = f"{'GET' if self.body is None else 'POST'} {self.path} HTTP/1.1\r\nHost: {HOST}\r\n{own}"
        if self.body is not None:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        return f"{head}\r\n".encode() + body


@dataclass(frozen=True)
class Answer:
    """A whole response; moments are seconds of ``time.perf_counter``."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    sent_at: float
    first_at: float
    """When the first text came (of a plain answer: the first byte of the body)."""
    done_at: float

    @property
    def first_s(self) -> float:
        """Seconds from sending to the first text."""
        return self.first_at - self.sent_at

    @property
    def seconds(self) -> float:
        """Seconds from sending to the last byte."""
        return self.done_at - self.sent_at

    @property
    def streamed(self) -> bool:
        """Whether the answer is a stream of events."""
        return self.headers.get("content-type", "").startswith("text/event-stream")

    def events(self) -> list[dict[str, Any]]:
        """The events of a stream without its ``[DONE]``; raises ``MeasuringFailed`` when that is missing."""
        found = [line[6:] for line in self.body.splitlines() if line.startswith(b"data: ")]
        if not found or found[-1] != b"[DONE]":
            raise MeasuringFailed(f"a stream ended with {self.body[-300:]!r}")
        return [json.loads(event) for event in found[:-1]]

    def json(self) -> dict[str, Any]:
        """The answer as an object: of a stream, its last event."""
        found: dict[str, Any] = self.events()[-1] if self.streamed else json.loads(self.body)
        return found

    def tokens(self) -> int:
        """Tokens generated, as the server counts them."""
        return int(self.json()["usage"]["completion_tokens"])

    def text(self) -> str:
        """What was generated, of either dialect."""
        if not self.streamed:
            said = self.json()
            return str(said["answer"] if "answer" in said else said["choices"][0]["message"]["content"] or "")
        parts = []
        for event in self.events():
            choices = event.get("choices")
            parts.append(event.get("delta", "") if choices is None else _content(choices))
        return "".join(parts)

    def finish_reason(self) -> str:
        """Why the answer ended."""
        if not self.streamed:
            said = self.json()
            return str(said["finish_reason"] if "finish_reason" in said else said["choices"][0]["finish_reason"])
        for event in reversed(self.events()):
            for choice in event.get("choices", ()):
                if choice.get("finish_reason"):
                    return str(choice["finish_reason"])
            if event.get("finish_reason"):
                return str(event["finish_reason"])
        return ""


def _content(choices: Sequence[Mapping[str, Any]]) -> str:
    return "".join((choice.get("delta") or {}).get("content") or "" for choice in choices)


class Caller:
    """One kept-alive connection. Closing it while an answer is under way is how a client leaves."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port), timeout=TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()
        self._arrivals: list[tuple[int, float]] = []
        self._head_end = -1
        self._status, self._headers = 0, dict[str, str]()
        self._sent_at = 0.0

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
        """Send a request; the previous answer must have been received."""
        self._received.clear()
        self._arrivals.clear()
        self._head_end, self._sent_at = -1, time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> Answer | None:
        """Take what has come, waiting for something; returns the answer when it is whole."""
        piece = self.socket.recv(262144)
        now = time.perf_counter()
        if not piece:
            raise MeasuringFailed(f"the server hung up after {bytes(self._received[-300:])!r}")
        self._received += piece
        self._arrivals.append((len(self._received), now))
        if self._head_end < 0 and not self._read_head():
            return None
        if not self._is_whole():
            return None
        body = bytes(self._received[self._head_end :])
        return Answer(
            self._status,
            self._headers,
            body if "content-length" in self._headers else _joined(body),
            self._sent_at,
            self._first_at(body),
            now,
        )

    def rest(self) -> Answer:
        """Wait for the whole answer."""
        while (answer := self.receive()) is None:
            pass
        return answer

    def call(self, call: Call) -> Answer:
        """Send a request and wait for the whole answer, which has to be a 200."""
        self.send(call.encoded())
        return checked(self.rest())

    def _read_head(self) -> bool:
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return False
        status_line, *lines = bytes(self._received[:end]).decode("latin-1").split("\r\n")
        self._status = int(status_line.split()[1])
        pairs = (line.partition(":") for line in lines)
        self._headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        self._head_end = end + 4
        return True

    def _is_whole(self) -> bool:
        length = self._headers.get("content-length")
        if length is not None:
            return len(self._received) >= self._head_end + int(length)
        return self._received.endswith(_LAST_CHUNK)

    def _first_at(self, body: bytes) -> float:
        needed = self._head_end + 1
        if "content-length" not in self._headers:
            # A stream without text counts as starting at its end: headers and comments come early.
            found = _TEXT.search(body)
            needed = self._head_end + found.end() if found else len(self._received)
        return next(moment for length, moment in self._arrivals if length >= needed)


def ask(port: int, call: Call) -> Answer:
    """Make one call on a connection of its own; the answer has to be a 200."""
    with Caller(port) as caller:
        return caller.call(call)


def call_all(port: int, calls: Sequence[Call], callers: int, *, keep_alive: bool = True) -> tuple[list[Answer], float]:
    """Make calls, ``callers`` at a time; returns the answers in order, and the seconds from the first byte sent
    to the last received. Without ``keep_alive`` each call has a connection of its own: llama.cpp hangs up after
    every stream. Raises ``MeasuringFailed`` unless all are answered 200.
    """
    requests = list(enumerate(call.encoded() for call in calls))[::-1]
    answers: dict[int, Answer] = {}
    waiting: dict[Caller, int] = {}
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())

        def send_next(caller: Caller) -> None:
            selector.register(caller.socket, selectors.EVENT_READ, caller)
            waiting[caller], request = requests.pop()
            caller.send(request)

        connections = [stack.enter_context(Caller(port)) for _ in range(min(callers, len(calls)))]
        started = time.perf_counter()
        for caller in connections:
            send_next(caller)
        while waiting:
            ready = selector.select(TIMEOUT_S)
            if not ready:
                raise MeasuringFailed(f"nothing was received for {TIMEOUT_S:.0f} s")
            for key, _ in ready:
                caller = key.data
                answer = caller.receive()
                if answer is None:
                    continue
                answers[waiting.pop(caller)] = answer
                selector.unregister(caller.socket)
                if requests:
                    send_next(caller if keep_alive else stack.enter_context(Caller(port)))
        seconds = time.perf_counter() - started
    return [checked(answers[number]) for number in range(len(calls))], seconds


def checked(answer: Answer) -> Answer:
    """Return an answer that is a 200; raises ``MeasuringFailed`` for any other."""
    if answer.status != 200:
        raise MeasuringFailed(f"status {answer.status}, {answer.body[:300]!r}")
    return answer


def answers_200(port: int, path: str, timeout_s: float = 5.0) -> bool:
    """Whether a path on this machine answers 200 now."""
    try:
        with Caller(port) as caller:
            caller.socket.settimeout(timeout_s)
            caller.send(Call(path, headers={"Connection": "close"}).encoded())
            return caller.rest().status == 200
    except (OSError, MeasuringFailed):
        return False


class Prober:
    """Times GETs of one path, one after the other, while its ``with`` block runs."""

    def __init__(self, port: int, path: str, interval_s: float = 0.05) -> None:
        self.seconds: list[float] = []
        self._port, self._path, self._interval_s = port, path, interval_s
        self._done = threading.Event()
        self._fault: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join(TIMEOUT_S)
        if self._fault is not None and error is None:
            raise MeasuringFailed(f"{self._path} failed under load: {self._fault}") from self._fault

    def _run(self) -> None:
        try:
            with Caller(self._port) as caller:
                while True:
                    self.seconds.append(caller.call(Call(self._path)).seconds)
                    if self._done.wait(self._interval_s):
                        return
        except (OSError, MeasuringFailed) as fault:
            self._fault = fault


def _joined(chunks: bytes) -> bytes:
    """A chunked body without its framing."""
    parts: list[bytes] = []
    at = 0
    while True:
        line_end = chunks.index(b"\r\n", at)
        size = int(chunks[at:line_end].split(b";")[0], 16)
        if not size:
            return b"".join(parts)
        parts.append(chunks[line_end + 2 : line_end + 2 + size])
        at = line_end + 2 + size + 2
