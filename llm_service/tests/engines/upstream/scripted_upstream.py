"""An upstream on a bare socket that sends exactly the bytes of a script, invalid ones included."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

HANG = b"\0hang"
"""In place of a piece: nothing more comes until the other side leaves."""
ENDLESS = b"\0endless"
"""In place of a piece: the one before it, again and again."""
MODELS = {"object": "list", "data": [{"id": "qwen", "object": "model", "root": "/models/qwen", "max_model_len": 4096}]}


def http(status: str, body: bytes, *headers: str) -> list[bytes]:
    """Return a whole answer."""
    return ["\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]).encode() + body]


def as_json(content: Any, status: str = "200 OK", *headers: str) -> list[bytes]:
    return http(status, json.dumps(content).encode(), "Content-Type: application/json", *headers)


def stream(*pieces: bytes, whole: bool = True) -> list[bytes]:
    """Return a streamed answer; each piece is a chunk of its own, and without ``whole`` the last one is missing."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = [piece if piece in (HANG, ENDLESS) else b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]
    return [head, *chunks, b"0\r\n\r\n"] if whole else [head, *chunks]


def event(content: Any) -> bytes:
    return b"data: " + json.dumps(content, ensure_ascii=False).encode() + b"\n\n"


def delta(finish_reason: str | None = None, **fields: Any) -> bytes:
    return event({"choices": [{"index": 0, "delta": fields, "finish_reason": finish_reason}]})


USAGE = event({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}})
DONE = b"data: [DONE]\n\n"
HELLO = stream(
    delta(role="assistant", content=""), delta(content="hola "), delta(content="sí"), delta("stop"), USAGE, DONE
)


@dataclass
class ScriptedUpstream:
    """``answer`` is what completions get, ``models`` what any GET gets: pieces, sent one by one."""

    answer: list[bytes] = field(default_factory=lambda: list(HELLO))
    models: list[bytes] = field(default_factory=lambda: as_json(MODELS))
    port: int = 0
    connections: int = 0
    open_connections: int = 0
    gets: list[str] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    """The head of each request, as it came."""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    _server: asyncio.Server | None = None
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def die(self) -> None:
        """Close the port and every connection."""
        assert self._server is not None
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self.open_connections += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while True:
                    await self._answer_one(reader, writer)
        finally:
            self.open_connections -= 1
            self._tasks.discard(task)
            writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.headers.append(head)
        length = next((line[15:] for line in head.lower().splitlines() if line.startswith("content-length:")), "0")
        body = await reader.readexactly(int(length))
        if head.startswith("POST"):
            self.bodies.append(json.loads(body))
        else:
            self.gets.append(head.split()[1])
        pieces = self.answer if head.startswith("POST") else self.models
        before = b""
        for piece in pieces:
            if piece == HANG:
                await reader.read(1)
                raise ConnectionResetError
            while piece == ENDLESS:
                writer.write(before)
                await writer.drain()
            writer.write(piece)
            await writer.drain()
            before = piece
        if not pieces or not (pieces[-1].endswith(b"0\r\n\r\n") or b"Content-Length" in pieces[0]):
            raise ConnectionResetError  # cut off


@contextlib.asynccontextmanager
async def scripted_upstream(**script: Any) -> AsyncIterator[ScriptedUpstream]:
    upstream = ScriptedUpstream(**script)
    await upstream.listen()
    try:
        yield upstream
    finally:
        await upstream.die()
