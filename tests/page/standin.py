"""A stand-in backend for the page's tests: serves the page and answers from a script."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

from app_process import Program
from conftest import ROOT, wait_until
from free_ports import free_port

WEB = ROOT / "backend" / "web"
CSP = "default-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
DOG = {"lemma": "perro", "gloss": "oohííbye", "pos": "m.", "direction": "es_bora"}
PLAIN = {"id": "d1", "kind": "dictionary", "content": "perro: oohííbye", "score": 1.0}
SOURCE = {**PLAIN, "matched_on": ["lemma"], "metadata": DOG, "role": "answer"}
TEXT = {**PLAIN, "id": "t1", "kind": "text", "content": "La maloca es la casa grande.", "matched_on": ["text"]}
CAT = {**SOURCE, "id": "c1", "metadata": {"lemma": "gato", "gloss": "mííchií", "direction": "es_bora"}}
ERRORS = {"roto": "engine_restarted", "tarde": "deadline_exceeded"}
TRAP = "<img src=x onerror=\"document.title='hacked'\"><script>document.title='hacked'</script>"
FINAL: dict[str, Any] = {
    "answer": "Perro se dice oohííbye.",
    "answer_mode": "completed",
    "explanation": None,
    "sources": [SOURCE],
    "missing": [],
    "says_more": False,
    "served_by": "llm_service",
    "degraded": False,
    "reason": None,
    "model": "smol",
    "timings": {"retrieval_ms": 8.2, "total_ms": 1234.0},
    "request_id": "r-1",
}


HEALTH = {
    "status": "degraded",
    "version": "1",
    "checks": {"database": True, "lexicon": True},
    "llm_service": {"status": "degraded", "model": "maker/smol"},
}
FIXED: dict[str, Any] = {
    "/page.json": {"suggestions": ["¿Cómo se dice agua en bora?"]},
    "/health": HEALTH,
    "/api/rag/stats": {"entries": 72, "pending_embeddings": 0},
    "/api/rag/search": {"results": [SOURCE]},
}


def event(data: object) -> bytes:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


async def script(asked: dict[str, Any], cancelled: list[str]) -> AsyncIterator[bytes]:
    """The events for a question; the question's text chooses them."""
    query = asked["query"]
    trap = {**SOURCE, "content": TRAP, "metadata": {}}
    found = {"trampa": trap, "lento texto": {**TEXT, "metadata": {}, "role": "answer"}}
    yield event({"sources": [found.get(query, SOURCE)]})
    if query.startswith("lento"):
        try:
            await asyncio.sleep(600)
        finally:
            cancelled.append(query)
    if query in ERRORS:
        yield event({"error": {"type": ERRORS[query], "message": "x", "request_id": "r-9", "retryable": True}})
        return
    special: dict[str, dict[str, Any]] = {
        "reserva": {"degraded": True, "served_by": "local"},
        "sin modelo": {"degraded": True, "served_by": "none", "reason": "overloaded", "answer_mode": "extractive"},
        "trampa": {"answer": TRAP, "sources": [trap]},
        "varias": {"missing": ["zorro"], "sources": [SOURCE, CAT]},
    }
    whole = {**FINAL, **special.get(query, {})}
    if asked["explain"]:
        whole["explanation"] = "Oohííbye es un animal."
    yield event({"answer": whole["answer"]})
    final = event(whole)
    middle = final.index("í".encode()) + 1 if "í".encode() in final else 1
    yield final[:middle]  # a character of two bytes arrives in two pieces
    await asyncio.sleep(0.02)
    yield final[middle:] + b"data: [DONE]\n\n"


def serve(port: int) -> None:
    """Run the stand-in backend."""
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

    async def fixed(request: Request) -> Response:
        return JSONResponse(FIXED[request.url.path])

    async def probe(_: Request) -> Response:
        return JSONResponse(cancelled)

    routes = [Route("/api/rag/query", query, methods=["POST"]), Route("/probe", probe)]
    routes += [Route(path, fixed) for path in FIXED]
    inner = Starlette(routes=[*routes, Mount("/", StaticFiles(directory=WEB, html=True))])

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"content-security-policy", CSP.encode()))
            await send(message)

        await inner(scope, receive, with_policy)

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", lifespan="off")


class Standin(Program):
    """A scripted backend that runs."""

    def __init__(self) -> None:
        port = free_port()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}
        command = [sys.executable, "-m", "page.standin", str(port)]
        super().__init__("the scripted backend", command, port, env=environment)
        self.start()

    def start(self) -> None:
        super().start()
        wait_until(lambda: self.answers("/probe"), "the scripted backend answers")

    def wait_until_cancelled(self, question: str) -> None:
        """Wait until it has noticed that the client of a question left before the end."""
        wait_until(lambda: question in self.client.get("/probe").json(), "the backend noticed that its client left")


if __name__ == "__main__":
    serve(int(sys.argv[1]))
