"""A stand-in for the LLM service on a bare socket that counts what reaches it: connections and requests."""

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

ANSWER = b'{"answer": "oohibye", "model": "raw", "tokens_generated": 1}'
_EVENTS = (b'data: {"delta": "oohi"}\n\n', b"data: " + ANSWER + b"\n\n", b"data: [DONE]\n\n")


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what happens at the other end of a socket."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - nobody there can set an event
            await asyncio.sleep(0)


def error_body(kind: str, *, retryable: bool) -> bytes:
    return json.dumps({"error": {"type": kind, "message": "told", "retryable": retryable}}).encode()


def http(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@dataclass
class RawService:
    """``answer`` is what POSTs get back, unless ``mode`` says otherwise: hang, hang_up, stream, cut (a stream
    that ends after its first token), trickle (one that stops there until its reader leaves)."""

    answer: bytes = http("200 OK", ANSWER, "Content-Type: application/json")
    answers_first: list[bytes] = field(default_factory=list)
    """What the first POSTs get back instead."""
    ready: bytes = http("200 OK", b"{}")
    mode: str = "answer"
    delay_s: float = 0.0
    port: int = 0
    accepted: int = 0
    open_connections: int = 0
    requests: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    _server: asyncio.Server | None = None
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def posts(self) -> int:
        return sum(line.startswith("POST") for line in self.requests)

    async def start(self) -> "RawService":
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        self._server = await asyncio.start_server(self._connection, sock=listener, backlog=1024)
        return self

    async def stop(self) -> None:
        """End as a killed process does: nobody listens, every connection is gone."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._server = None

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.accepted += 1
        self.open_connections += 1
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
                while await self._exchange(reader, writer):
                    pass
        finally:
            self.open_connections -= 1
            self._tasks.discard(task)
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        lines = head.split("\r\n")
        length = next((int(line.split(":")[1]) for line in lines if line.startswith("content-length:")), 0)
        await reader.readexactly(length)
        self.requests.append(head.split(" http/")[0].replace("post", "POST").replace("get", "GET"))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.delay_s)
            return await self._reply(writer, reader, is_post=self.requests[-1].startswith("POST"))
        finally:
            self.at_once -= 1

    async def _reply(self, writer: asyncio.StreamWriter, reader: asyncio.StreamReader, *, is_post: bool) -> bool:
        if self.mode == "hang":
            await reader.read(1)
            return False
        if not is_post:
            writer.write(self.ready)
        elif self.mode == "hang_up":
            return False
        elif self.mode in ("stream", "cut", "trickle"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
            for event in _EVENTS[: 1 if self.mode == "cut" else 3]:
                writer.write(event)
                await writer.drain()
                if self.mode == "trickle":
                    await reader.read(1)
            return False
        else:
            writer.write(self.answers_first.pop(0) if self.answers_first else self.answer)
        await writer.drain()
        return True
