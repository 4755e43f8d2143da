"""Translation of the errors of Serve's proxy into the service's error contract (docs/api.md).

Without it a request whose replica was killed is a bare 500, which clients must not repeat, and an interrupted
stream ends without an error.
"""

import asyncio
import json
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from service_kit.errors import Problem, error_body, error_headers
from service_kit.observability.records import request_id
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import JSONResponse

from service_kit import sse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

READY_WITHIN_S = 1.0
_SERVES_OWN = ("/-/healthz", "/-/routes")


def _retryable(status: int, kind: str, message: str, after_s: int = 1) -> Problem:
    return Problem(status, kind, message, retryable=True, retry_after_s=after_s)


EACH_HAS_ITS_OWN = Problem(404, "not_found", "every replica has numbers of its own, at a port of its own")
GONE = _retryable(503, "engine_restarted", "the replica that had this request is gone")
_OF_STATUS = {
    404: _retryable(503, "model_loading", "no replica is ready yet", 2),
    408: _retryable(504, "deadline_exceeded", "no answer came in the time there was"),
    429: _retryable(503, "overloaded", "all replicas are busy and the queue is full"),
    503: _retryable(503, "overloaded", "no replica can take this request now"),
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
        exchange = _Exchange(scope, receive, send)
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
    def __init__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        self._scope, self._receive, self._send = scope, receive, send
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
            event = sse.event(json.dumps(self._body(GONE)).encode(), "error")
            await self._send({"type": "http.response.body", "body": event, "more_body": False})

    async def respond(self, problem: Problem) -> None:
        headers = error_headers(problem, {"X-Request-ID": self._request_id})
        response = JSONResponse(self._body(problem), problem.status, headers)
        await response(self._scope, self._receive, self._send)

    def _body(self, problem: Problem) -> dict[str, Any]:
        if not self._scope["path"].startswith("/v1/"):
            return error_body(problem, self._request_id)
        return {"error": {"message": problem.message, "type": "server_error", "param": None, "code": problem.type}}

    @cached_property
    def _request_id(self) -> str:
        """Read when it is first needed: Serve may have given the request one by then."""
        return request_id(Headers(scope=self._scope).get("x-request-id", ""))
