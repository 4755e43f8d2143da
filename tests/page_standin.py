"""A stand-in backend for the page's tests: serves the page and answers from a script."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import urllib.request
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

from conftest import free_port, wait_until

WEB = Path(__file__).parents[1] / "backend" / "web"
CSP = "default-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
DOG = {"lemma": "perro", "gloss": "oohííbye", "pos": "m.", "direction": "es_bora"}
PLAIN = {"id": "d1", "kind": "dictionary", "content": "perro: oohííbye", "score": 1.0}
SOURCE = {**PLAIN, "matched_on": ["lemma"], "metadata": DOG}
TRAP = "<img src=x onerror=\"document.title='hacked'\"><script>document.title='hacked'</script>"
FINAL: dict[str, Any] = {
    "answer": "Perro se dice oohííbye.",
    "answer_mode": "completed",
    "sources": [SOURCE],
    "served_by": "llm_service",
    "degraded": False,
    "model": "smol",
    "timings": {"retrieval_ms": 8.2, "total_ms": 1234.0},
    "request_id": "r-1",
}


def event(data: object) -> bytes:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


async def script(asked: dict[str, Any], cancelled: list[str]) -> AsyncIterator[bytes]:
    """The events for a question; the question's text chooses them."""
    query = asked["query"]
    trap = {**SOURCE, "content": TRAP, "metadata": {}}
    yield event({"sources": [trap if query == "trampa" else SOURCE]})
    if query.startswith("lento"):
        try:
            while True:
                yield event({"delta": "poco a poco "})
                await asyncio.sleep(0.05)
        finally:
            cancelled.append(query)
    if query == "roto":
        yield event({"delta": "Se dice "})
        yield event({"error": {"type": "engine_restarted", "message": "x", "request_id": "r-9", "retryable": True}})
        return
    for piece in ["Creo que ", "es otra palabra", *[" y otra más"] * (60 if query == "corto" else 0)]:
        yield event({"delta": piece})
        if query == "corto":
            await asyncio.sleep(0.005)
    special: dict[str, dict[str, Any]] = {
        "degradado": {"degraded": True, "served_by": "local"},
        "trampa": {"answer": TRAP, "sources": [trap]},
        "corto": {"answer": "Corto."},
    }
    if query == "corto":
        await asyncio.sleep(0.3)  # the long text is on the screen when the short one comes
    final = event({**FINAL, **special.get(query, {})})
    middle = final.index("í".encode()) + 1 if "í".encode() in final else 1
    yield final[:middle]  # a character of two bytes arrives in two pieces
    await asyncio.sleep(0.02)
    yield final[middle:] + b"data: [DONE]\n\n"


def serve(port: int) -> None:
    """Run the stand-in backend (in a process of its own, so that it can be killed)."""
    cancelled: list[str] = []

    async def query(request: Request) -> Response:
        asked = await request.json()
        refusals = {"caído": (503, "retrieval_unavailable"), "prisa": (429, "rate_limited")}
        if request.headers.get("authorization") != "Bearer secreta":
            refusals["clave"] = (401, "unauthorized")
        if asked["query"] in refusals:
            status, kind = refusals[asked["query"]]
            error = {"type": kind, "message": "x", "request_id": "r-7", "retryable": False}
            return JSONResponse({"error": error}, status, {"Retry-After": "12"} if status == 429 else None)
        return StreamingResponse(script(asked, cancelled), media_type="text/event-stream")

    async def page(_: Request) -> Response:
        return JSONResponse({"suggestions": ["¿Cómo se dice agua en bora?"]})

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "degraded"})

    async def probe(_: Request) -> Response:
        return JSONResponse(cancelled)

    routes = [Route("/api/rag/query", query, methods=["POST"]), Route("/probe", probe)]
    routes += [Route("/page.json", page), Route("/health", health)]
    inner = Starlette(routes=[*routes, Mount("/", StaticFiles(directory=WEB, html=True))])

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"content-security-policy", CSP.encode()))
            await send(message)

        await inner(scope, receive, with_policy)

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", lifespan="off")


@dataclass
class Standin:
    """A scripted backend that runs."""

    port: int
    process: BaseProcess

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.join()

    def restart(self) -> None:
        """Start it again on its port."""
        self.process = _spawn(self.port)
        wait_until(self.answers, "the scripted backend answers")

    def answers(self) -> bool:
        assert self.process.is_alive()
        with suppress(OSError):
            self.cancelled()
            return True
        return False

    def cancelled(self) -> list[str]:
        """Return the questions whose client left before the end."""
        with urllib.request.urlopen(f"{self.url}/probe", timeout=5) as reply:
            names: list[str] = json.load(reply)
            return names

    def wait_until_cancelled(self, question: str) -> None:
        wait_until(lambda: question in self.cancelled(), "the backend noticed that its client left")


def start() -> Standin:
    """Start one on a free port and wait until it answers."""
    port = free_port()
    standin = Standin(port, _spawn(port))
    wait_until(standin.answers, "the scripted backend answers")
    return standin


def _spawn(port: int) -> BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(port,), daemon=True)
    process.start()
    return process
