"""A service on a bare socket that answers as it is told and counts what reaches it."""

import asyncio
import contextlib
import json
import socket
from types import TracebackType
from typing import Self

ANSWER = json.dumps({"answer": "oohiibye", "model": "scripted", "tokens_generated": 1}).encode()


def response(status: str, body: bytes, *headers: str) -> bytes:
    """Return a whole HTTP response."""
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]).encode() + body


def failure(status: str, kind: str, *headers: str, retryable: bool) -> bytes:
    """Return a response with the LLM service's error body."""
    body = json.dumps({"error": {"type": kind, "message": "told", "retryable": retryable}}).encode()
    return response(status, body, *headers)


class ScriptedService:
    """Every POST gets ``answer`` after ``delay_s`` seconds; with ``hangs``, nothing gets anything."""

    def __init__(self, answer: bytes | None = None, port: int = 0) -> None:
        self.answer = answer or response("200 OK", ANSWER)
        self.delay_s = 0.0
        self.hangs = False
        self.accepted = self.posts = self.at_once = self.most_at_once = 0
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", port))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connection, sock=self._listener, backlog=1024)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
                while True:
                    await self._exchange(reader, writer)
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), 0)
        await reader.readexactly(length)
        is_post = head.startswith(b"post")
        self.posts += is_post
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await (reader.readexactly(1) if self.hangs else asyncio.sleep(self.delay_s))
            writer.write(self.answer if is_post else response("200 OK", b"{}"))
            await writer.drain()
        finally:
            self.at_once -= 1
