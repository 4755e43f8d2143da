"""Load generator: blocking HTTP callers, a thread each. Bodies are read as JSON when the clock has stopped."""

import contextlib
import http.client
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
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
_PIECE_BYTES = 262144
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


@dataclass(frozen=True)
class Answer:
    """A whole response with status 200.

    Attributes:
        first_s: seconds from sending to the first text (of a plain answer: the first byte of the body).
        seconds: seconds from sending to the last byte.

    """

    headers: http.client.HTTPMessage
    body: bytes
    first_s: float
    seconds: float

    @property
    def streamed(self) -> bool:
        """Whether the answer is a stream of events."""
        return self.headers.get_content_type() == "text/event-stream"

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


class Caller:
    """One kept-alive connection."""

    def __init__(self, port: int, timeout_s: float = TIMEOUT_S) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=timeout_s)

    def __enter__(self) -> Self:
        self._connection.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def call(self, call: Call) -> Answer:
        """Send a request and wait for the whole answer; raises ``MeasuringFailed`` unless it is a 200."""
        body = None if call.body is None else json.dumps(call.body, ensure_ascii=False).encode()
        headers = {**call.headers, **({} if body is None else {"Content-Type": "application/json"})}
        sent_at = time.perf_counter()
        try:
            self._connection.request("GET" if body is None else "POST", call.path, body, headers)
            with self._connection.getresponse() as response:
                pieces = list(_pieces(response))
        except http.client.HTTPException as error:
            raise MeasuringFailed(f"{call.path}: the server hung up: {error!r}") from error
        received = b"".join(piece for piece, _ in pieces)
        if response.status != http.client.OK:
            raise MeasuringFailed(f"{call.path}: status {response.status}, {received[:300]!r}")
        done_s = time.perf_counter() - sent_at
        return Answer(response.headers, received, _first_at(response, pieces) - sent_at, done_s)


def _pieces(response: http.client.HTTPResponse) -> Iterator[tuple[bytes, float]]:
    """The pieces of a body with the moment each came."""
    while piece := response.read1(_PIECE_BYTES):
        yield piece, time.perf_counter()


def _first_at(response: http.client.HTTPResponse, pieces: Sequence[tuple[bytes, float]]) -> float:
    if response.headers.get_content_type() != "text/event-stream":
        return pieces[0][1]
    # A stream without text counts as starting at its end: comments come early.
    return next((moment for piece, moment in pieces if _TEXT.search(piece)), pieces[-1][1])


def ask(port: int, call: Call) -> Answer:
    """Make one call on a connection of its own."""
    with Caller(port) as caller:
        return caller.call(call)


def call_all(port: int, calls: Sequence[Call], callers: int) -> tuple[list[Answer], float]:
    """Make calls, ``callers`` at a time; returns the answers in order, and the seconds of all together.

    Each call has a connection of its own: llama.cpp hangs up after every stream.
    """
    with ThreadPoolExecutor(callers) as pool:
        started = time.perf_counter()
        answers = list(pool.map(lambda call: ask(port, call), calls))
        return answers, time.perf_counter() - started


def answers_200(port: int, path: str) -> bool:
    """Whether a path on this machine answers 200 now."""
    try:
        with Caller(port, timeout_s=5.0) as caller:
            caller.call(Call(path, headers={"Connection": "close"}))
    except (OSError, MeasuringFailed):
        return False
    return True


@contextlib.contextmanager
def probing(port: int, path: str, interval_s: float = 0.05) -> Iterator[list[float]]:
    """Times GETs of one path, one after the other, while the block runs; yields their seconds."""
    seconds: list[float] = []
    done = threading.Event()

    def probe() -> None:
        with Caller(port) as caller:
            while True:
                seconds.append(caller.call(Call(path)).seconds)
                if done.wait(interval_s):
                    return

    with ThreadPoolExecutor(1) as pool:
        probe_run = pool.submit(probe)
        try:
            yield seconds
        finally:
            done.set()
        probe_run.result()
