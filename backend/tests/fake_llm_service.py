"""A stand-in for the LLM service on a real port, with the real one's wire format and every fault it can have."""

import asyncio
import json
import socket
import threading
import time
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

DIMENSION = 384
FINGERPRINT = "23202422d3773d12"
SENT_BEFORE_FAULT = ["En bora, ", '"perro" ']


def error(status: int, kind: str, *, retryable: bool = False, retry_after: str | None = None) -> Response:
    body = {"error": {"type": kind, "message": f"told: {kind}", "request_id": "fake", "retryable": retryable}}
    return JSONResponse(body, status, {"Retry-After": retry_after} if retry_after else None)


def fault_of(mode: str) -> Response | None:
    """Return what the service answers instead of an answer, in the modes in which it does."""
    faults: dict[str, Callable[[], Response]] = {
        "html": lambda: HTMLResponse("<html>a proxy</html>"),
        "garbage": lambda: Response(b"{{{", media_type="application/json"),
        "fields": lambda: JSONResponse({"unexpected": True}),
        "busy": lambda: error(503, "overloaded", retryable=True, retry_after="0"),
        "busy_long": lambda: error(503, "overloaded", retryable=True, retry_after="3000"),
        "429": lambda: error(429, "rate_limited", retryable=True),
        "500": lambda: error(500, "generation_failed"),
        "501": lambda: error(501, "not_configured"),
        "400": lambda: error(400, "context_length_exceeded"),
        "401": lambda: error(401, "unauthorized"),
        "302": lambda: Response(status_code=302, headers={"Location": "/elsewhere"}),
    }
    return faults[mode]() if mode in faults else None


@dataclass
class FakeLLMService:
    """``mode`` is what the next answers are like; ``calls`` is what was asked, ``left`` which callers went away.

    The longest text ranks first.
    """

    answer: str = 'En bora, "perro" se dice "oohííbye".'
    mode: str = "ok"
    faults_left: int | None = None
    delay_s: float = 0.0
    fingerprint: str = FINGERPRINT
    degraded: bool = False
    port: int = 0
    calls: list[dict[str, Any]] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    _server: uvicorn.Server | None = None
    _thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def paths(self) -> list[str]:
        return [call["path"] for call in self.calls]

    def start(self) -> "FakeLLMService":
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        app = Starlette(
            routes=[
                Route("/api/llm/generate", self._generate, methods=["POST"]),
                Route("/api/llm/embed", self._embed, methods=["POST"]),
                Route("/api/llm/health", self._health),
                Route("/v1/rerank", self._rerank, methods=["POST"]),
            ]
        )
        config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1, ws="none")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.005)
        return self

    def reset(self) -> None:
        """Be as a new one; what still goes on is noted nowhere."""
        self.__dict__.update(vars(FakeLLMService(port=self.port, _server=self._server, _thread=self._thread)))

    def stop(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.should_exit = self._server.force_exit = True
            self._thread.join()

    def _fault(self) -> Response | None:
        if self.faults_left is not None:
            if self.faults_left == 0:
                return None
            self.faults_left -= 1
        return fault_of(self.mode)

    async def _generate(self, request: Request) -> Response:
        body = await request.json()
        self.calls.append({"path": "generate", "body": body, "headers": dict(request.headers)})
        if self.delay_s and not await self._wait(request):
            return Response(status_code=499)
        fault = self._fault()
        if fault is not None:
            return fault
        if self.mode == "quoting":
            return JSONResponse({"error": {"type": "generation_failed", "message": str(body["messages"])}}, 500)
        if self.mode == "cut_body":
            return StreamingResponse(self._cut_body(), headers={"content-length": "5000"})
        if body.get("stream"):
            return StreamingResponse(self._stream(request), media_type="text/event-stream")
        return JSONResponse(self._completion())

    async def _wait(self, request: Request) -> bool:
        """Be slow; tell whether the caller is still there."""
        until, left = time.monotonic() + self.delay_s, self.left
        while time.monotonic() < until:
            if await request.is_disconnected():
                left.append("generate")
                return False
            await asyncio.sleep(0.01)
        return True

    async def _cut_body(self) -> AsyncIterator[bytes]:
        yield b'{"answer": "En bo'
        raise ConnectionAbortedError

    async def _stream(self, request: Request) -> AsyncIterator[bytes]:
        words, left = [word + " " for word in self.answer.split(" ")], self.left
        try:
            for number, word in enumerate(words):
                if number == len(SENT_BEFORE_FAULT):
                    if self.mode == "stream_cut":
                        return
                    if self.mode == "stream_error":
                        yield self._event({"error": {"type": "engine_restarted", "message": "x", "retryable": True}})
                        return
                    if self.mode == "stream_stall":
                        await asyncio.sleep(60)
                yield self._event({"delta": word})
            yield self._event(self._completion())
            yield b"data: [DONE]\n\n"
        except asyncio.CancelledError:
            left.append("stream")
            raise

    def _event(self, event: dict[str, Any]) -> bytes:
        return f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode()

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

    async def _embed(self, request: Request) -> Response:
        body = await request.json()
        self.calls.append({"path": "embed", "body": body, "headers": dict(request.headers)})
        fault = self._fault()
        if fault is not None:
            return fault
        dimension = 3 if self.mode == "short_vectors" else DIMENSION
        # Different texts have nothing in common.
        places = [zlib.crc32(text.encode()) % dimension for text in body["texts"]]
        vectors = [[float(at == place) for at in range(dimension)] for place in places]
        return JSONResponse(
            {
                "embeddings": vectors,
                "dim": dimension,
                "count": len(vectors),
                "model": "fake-embedder",
                "fingerprint": self.fingerprint,
            }
        )

    async def _rerank(self, request: Request) -> Response:
        body = await request.json()
        self.calls.append({"path": "rerank", "body": body, "headers": dict(request.headers)})
        if self.delay_s and not await self._wait(request):
            return Response(status_code=499)
        fault = self._fault()
        if fault is not None:
            return fault
        results = [{"index": at, "relevance_score": len(text)} for at, text in enumerate(body["documents"])]
        return JSONResponse({"results": sorted(results, key=lambda result: -result["relevance_score"])})

    async def _health(self, request: Request) -> Response:
        return JSONResponse({"status": "healthy", "model": "fake-model", "degraded": self.degraded})
