"""Translation of the errors of Serve's proxy into the service's error contract (docs/api.md).

Without it a request whose replica was killed is a bare 500, which clients must not repeat, and an interrupted
stream ends without an error.
"""

import asyncio
import json
import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.middleware import Middleware

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SAFE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
READY_WITHIN_S = 1.0
_SERVES_OWN = ("/-/healthz", "/-/routes")


@dataclass(frozen=True)
class Problem:
    """An error of the contract; retryable if it has ``retry_after_s``."""

    status: int
    kind: str
    message: str
    retry_after_s: int | None = None


EACH_HAS_ITS_OWN = Problem(404, "not_found", "every replica has numbers of its own, at a port of its own")
GONE = Problem(503, "engine_restarted", "the replica that had this request is gone", 1)
_OF_STATUS = {
    404: Problem(503, "model_loading", "no replica is ready yet", 2),
    408: Problem(504, "deadline_exceeded", "no answer came in the time there was", 1),
    429: Problem(503, "overloaded", "all replicas are busy and the queue is full", 1),
    503: Problem(503, "overloaded", "no replica can take this request now", 1),
}


def middlewares() -> list[Middleware]:
    """Return the middleware of Serve's proxies (``RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH``)."""
    return [Middleware(ServeErrors)]


class ServeErrors:
    """Replaces missing responses, and errors that no replica sent, by errors of the contract."""

    def __init__(self, app: "ASGIApp") -> None:
        self._app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:  # noqa: D102 - ASGI
        if scope["type"] != "http" or scope["path"] in _SERVES_OWN:
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, send)
        if scope["path"] == "/metrics":
            await exchange.respond(EACH_HAS_ITS_OWN)
            return
        try:
            async with asyncio.timeout(READY_WITHIN_S if scope["path"] == "/readyz" else None):
                await self._app(scope, receive, exchange.send)
        except TimeoutError:
            # Serve holds requests until there is a replica, but a readiness check needs an answer now.
            await exchange.end(_OF_STATUS[404])
        else:
            await exchange.end()


def _with_one_id(headers: "Iterable[tuple[bytes, bytes]]") -> list[tuple[bytes, bytes]]:
    """Remove the request id that Serve adds to the replica's."""
    kept, has_id = [], False
    for name, value in headers:
        is_id = name.lower() == b"x-request-id"
        if not (is_id and has_id):
            kept.append((name, value))
        has_id = has_id or is_id
    return kept


class _Exchange:
    def __init__(self, scope: "Scope", send: "Send") -> None:
        self._scope, self._send = scope, send
        self._problem: Problem | None = None
        self._started = self._finished = self._is_stream = False

    async def send(self, message: "Message") -> None:
        if message["type"] == "http.response.start":
            message["headers"] = _with_one_id(message.get("headers", []))
            headers = Headers(raw=message["headers"])
            by_replica = "x-replica" in headers
            self._problem = None if by_replica else _OF_STATUS.get(message["status"])
            self._is_stream = headers.get("content-type", "").startswith("text/event-stream")
        if self._problem is not None:
            return  # replaced by an error of the contract in ``end``
        self._started = True
        self._finished = message["type"] == "http.response.body" and not message.get("more_body", False)
        await self._send(message)

    async def end(self, problem: Problem = GONE) -> None:
        if not self._started:
            await self.respond(self._problem or problem)
        elif not self._finished and self._is_stream:
            event = b"event: error\ndata: " + self._body(GONE) + b"\n\n"
            await self._send({"type": "http.response.body", "body": event, "more_body": False})

    async def respond(self, problem: Problem) -> None:
        body = self._body(problem)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"x-request-id", self._request_id().encode()),
        ]
        if problem.retry_after_s is not None:
            headers.append((b"retry-after", str(problem.retry_after_s).encode()))
        await self._send({"type": "http.response.start", "status": problem.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    def _body(self, problem: Problem) -> bytes:
        error: dict[str, object]
        if self._scope["path"].startswith("/v1/"):
            error = {"message": problem.message, "type": "server_error", "param": None, "code": problem.kind}
        else:
            error = {
                "type": problem.kind,
                "message": problem.message,
                "request_id": self._request_id(),
                "retryable": problem.retry_after_s is not None,
            }
        return json.dumps({"error": error}).encode()

    def _request_id(self) -> str:
        sent = Headers(scope=self._scope).get("x-request-id", "")
        return sent if _SAFE_ID.fullmatch(sent) else uuid.uuid4().hex
