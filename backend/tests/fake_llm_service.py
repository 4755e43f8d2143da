"""A stand-in for the LLM service on a real socket: its wire format, every fault it can have, and what reaches it."""

import asyncio
import contextlib
import json
import socket
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

DIMENSION = 384
FINGERPRINT = "23202422d3773d12"
SENT_BEFORE_FAULT = 2
"""Words of a stream before it breaks off."""
FOR_EVER_S = 600.0


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what happens at the other end of a socket in the same loop."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - nobody there can set an event
            await asyncio.sleep(0)


def http(status: str, body: bytes, *headers: str) -> bytes:
    """Return a whole answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def as_json(content: Any, status: str = "200 OK", *headers: str) -> bytes:
    return http(status, json.dumps(content).encode(), "Content-Type: application/json", *headers)


def error(status: str, kind: str, *headers: str, retryable: bool = False, message: str = "x") -> bytes:
    return as_json({"error": {"type": kind, "message": message, "retryable": retryable}}, status, *headers)


FAULTS = {
    "html": http("200 OK", b"<html>a proxy</html>", "Content-Type: text/html"),
    "garbage": http("200 OK", b"{{{", "Content-Type: application/json"),
    "fields": as_json({"unexpected": True}),
    "busy": error("503 Service Unavailable", "overloaded", "Retry-After: 0", retryable=True),
    "busy_long": error("503 Service Unavailable", "overloaded", "Retry-After: 3000", retryable=True),
    "429": error("429 Too Many Requests", "rate_limited", retryable=True),
    "500": error("500 Internal Server Error", "generation_failed"),
    "501": error("501 Not Implemented", "not_configured"),
    "400": error("400 Bad Request", "context_length_exceeded"),
    "401": error("401 Unauthorized", "unauthorized"),
    "302": http("302 Found", b"", "Location: /elsewhere"),
}
"""What POSTs get back instead of an answer, by ``mode``."""


@dataclass
class FakeLLMService:
    """``mode`` is what the next answers are like: one of ``FAULTS``, or where the code below names it. ``reply`` is
    sent whatever the mode. The longest text ranks first.

    ``start`` serves in a thread, ``listen`` in the running loop.
    """

    answer: str = 'En bora, "perro" se dice "oohííbye".'
    mode: str = "ok"
    faults_left: int | None = None
    reply: bytes | None = None
    first_replies: list[bytes] = field(default_factory=list)
    ready: bytes = http("200 OK", b"{}")
    delay_s: float = 0.0
    embed_delay_s: float = 0.0
    fingerprint: str = FINGERPRINT
    degraded: bool = False
    port: int = 0
    calls: list[dict[str, Any]] = field(default_factory=list)
    """POSTs: the last part of the path, body and headers."""
    left: list[str] = field(default_factory=list)
    """Which callers went away."""
    requests: list[str] = field(default_factory=list)
    accepted: int = 0
    open_connections: int = 0
    at_once: int = 0
    most_at_once: int = 0
    _server: asyncio.Server | None = None
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)
    _thread: threading.Thread | None = None
    _end_thread: Callable[[], object] = lambda: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def posts(self) -> int:
        return sum(line.startswith("POST") for line in self.requests)

    def paths(self) -> list[str]:
        return [call["path"] for call in self.calls]

    async def listen(self) -> "FakeLLMService":
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        self._server = await asyncio.start_server(self._connected, sock=listener, backlog=1024)
        return self

    async def die(self) -> None:
        """End as a killed process does: nobody listens, every connection is gone."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._server = None

    def start(self) -> "FakeLLMService":
        listening = threading.Event()

        async def serve() -> None:
            loop, ending = asyncio.get_running_loop(), asyncio.Event()
            self._end_thread = lambda: loop.call_soon_threadsafe(ending.set)
            await self.listen()
            listening.set()
            await ending.wait()
            await self.die()

        self._thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
        self._thread.start()
        assert listening.wait(30)
        return self

    def stop(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            self._end_thread()
            self._thread.join()

    def reset(self) -> None:
        """Be as a new one; what still goes on is noted nowhere."""
        kept = ("port", "_server", "_tasks", "_thread", "_end_thread")
        vars(self).update({name: value for name, value in vars(FakeLLMService()).items() if name not in kept})

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.accepted += 1
        self.open_connections += 1
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, OSError):
                while await self._exchange(reader, writer):
                    pass
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self.open_connections -= 1
            self._tasks.discard(task)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return whether another may follow on the connection."""
        line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in lines)}
        content = await reader.readexactly(int(headers.get("content-length", 0)))
        method, path, _ = line.split(" ")
        self.requests.append(f"{method} {path}")
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.mode == "hang":
                await reader.read(1)
                return False
            if method == "GET":
                health = {"status": "healthy", "model": "fake-model", "degraded": self.degraded}
                state = FAULTS["401"] if self.mode == "401" else as_json(health)
                return await _send(writer, state if path == "/api/llm/health" else self.ready)
            call = {"path": path.rpartition("/")[2], "body": json.loads(content), "headers": headers}
            self.calls.append(call)
            return await self._answer(call["path"], call["body"], reader, writer)
        finally:
            self.at_once -= 1

    async def _answer(
        self, path: str, body: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        delay_s, left = self.embed_delay_s if path == "embed" else self.delay_s, self.left
        if delay_s and await _has_left(reader, delay_s):
            left.append(path)
            return False
        if self.mode == "hang_up":
            return False
        whole = self._whole(path, body)
        if whole is not None:
            return await _send(writer, whole)
        if self.mode == "cut_body":
            await _send(writer, b'HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{"answer": "En bo')
        elif await self._stream(reader, writer):
            left.append("stream")
        return False

    def _whole(self, path: str, body: dict[str, Any]) -> bytes | None:
        """Return an answer that is sent as a whole; ``None``: it comes in pieces or breaks off."""
        raw = self.first_replies.pop(0) if self.first_replies else self.reply or self._fault()
        if raw is not None:
            return raw
        if path == "embed":
            return as_json(self._vectors(body["texts"]))
        if path == "rerank":
            results = [{"index": at, "relevance_score": len(text)} for at, text in enumerate(body["documents"])]
            return as_json({"results": sorted(results, key=lambda result: -result["relevance_score"])})
        if self.mode == "quoting":
            return error("500 Internal Server Error", "generation_failed", message=str(body["messages"]))
        return None if self.mode == "cut_body" or body.get("stream") else as_json(self._completion())

    def _fault(self) -> bytes | None:
        if self.mode not in FAULTS or self.faults_left == 0:
            return None
        if self.faults_left is not None:
            self.faults_left -= 1
        return FAULTS[self.mode]

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Return whether the caller left."""
        await _send(writer, b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        for number, word in enumerate(self.answer.split(" ")):
            if number == SENT_BEFORE_FAULT:
                if self.mode == "stream_cut":
                    return False
                if self.mode == "stream_error":
                    await _send(writer, _event({"error": {"type": "engine_restarted", "message": "x"}}))
                    return False
                if self.mode == "stream_stall":
                    return await _has_left(reader, FOR_EVER_S)
            await _send(writer, _event({"delta": f"{word} "}))
        await _send(writer, _event(self._completion()) + b"data: [DONE]\n\n")
        return False

    def _completion(self) -> dict[str, Any]:
        return {
            "answer": self.answer,
            "model": "fake-model",
            "tokens_generated": 9,
            "device": "cpu",
            "finish_reason": "stop",
            "usage": {"prompt_tokens": 1, "completion_tokens": 9, "total_tokens": 10},
            "timings": {"queue_ms": 1.0, "ttft_ms": 2.0, "total_ms": 3.0, "tokens_per_second": 100.0},
            "cached": False,
            "degraded": self.degraded,
            "request_id": "fake",
        }

    def _vectors(self, texts: list[str]) -> dict[str, Any]:
        dimension = 3 if self.mode == "short_vectors" else DIMENSION
        # Different texts have nothing in common.
        places = [zlib.crc32(text.encode()) % dimension for text in texts]
        vectors = [[float(at == place) for at in range(dimension)] for place in places]
        known = {"dim": dimension, "count": len(vectors), "model": "fake-embedder", "fingerprint": self.fingerprint}
        return {"embeddings": vectors, **known}


def _event(event: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode()


async def _send(writer: asyncio.StreamWriter, content: bytes) -> bool:
    writer.write(content)
    await writer.drain()
    return True


async def _has_left(reader: asyncio.StreamReader, within_s: float) -> bool:
    """Wait; return whether the caller hung up meanwhile."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            return await reader.read(1) == b""
    return False
