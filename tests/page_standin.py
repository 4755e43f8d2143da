"""A stand-in backend for the page's tests: serves the page and answers from a script."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import socket
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

WEB = Path(__file__).parents[1] / "backend" / "web"
CSP = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
DOG = {"lemma": "perro", "gloss": "oohííbye", "pos": "m.", "direction": "es_bora"}
SOURCE = {"id": "d1", "kind": "dictionary", "content": "perro: oohííbye", "score": 1.0, "metadata": DOG}
TRAP = "<img src=x onerror=\"document.title='hacked'\"><script>document.title='hacked'</script>"
FINAL: dict[str, Any] = {
    "answer": "Perro se dice oohííbye.",
    "answer_mode": "completed",
    "sources": [SOURCE],
    "served_by": "llm_service",
    "degraded": False,
    "model": "smol",
    "timings": {"total_ms": 1234.0},
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
    for piece in ("Creo que ", "es otra palabra"):
        yield event({"delta": piece})
    special: dict[str, dict[str, Any]] = {
        "degradado": {"degraded": True, "served_by": "local"},
        "trampa": {"answer": TRAP, "sources": [trap]},
        "eco": {"answer": json.dumps(asked["history"], ensure_ascii=False)},
    }
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
        refusals = {"caído": (503, "retrieval_unavailable")}
        if request.headers.get("authorization") != "Bearer secreta":
            refusals["clave"] = (401, "unauthorized")
        if asked["query"] in refusals:
            status, kind = refusals[asked["query"]]
            error = {"type": kind, "message": "x", "request_id": "r-7", "retryable": False}
            return JSONResponse({"error": error}, status)
        return StreamingResponse(script(asked, cancelled), media_type="text/event-stream")

    async def probe(_: Request) -> Response:
        return JSONResponse(cancelled)

    routes = [Route("/api/rag/query", query, methods=["POST"]), Route("/probe", probe)]
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
    """A running stand-in backend."""

    url: str
    process: BaseProcess

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.join()

    def cancelled(self) -> list[str]:
        """Return the questions whose client left before the end."""
        with urllib.request.urlopen(f"{self.url}/probe", timeout=5) as reply:
            names: list[str] = json.load(reply)
            return names


def start() -> Standin:
    """Start a stand-in on a free port and wait until it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(port,), daemon=True)
    process.start()
    standin = Standin(f"http://127.0.0.1:{port}", process)
    deadline = monotonic() + 30
    while True:
        try:
            standin.cancelled()
        except OSError:
            if not process.is_alive() or monotonic() > deadline:
                raise
            sleep(0.05)
        else:
            return standin
