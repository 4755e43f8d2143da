"""Outermost of all: every request gets an id, one line in the log, and an answer."""

import logging
import re
import time
import uuid
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from config.logs import about_request
from middleware.route_names import UNMATCHED, RouteNames
from observability.metrics import METHODS, Metrics
from observability.request_record import RequestRecord
from observability.tracing import NO_SPAN, Span, Tracer, inside
from routers.errors import error_response
from routers.problem import Problem

CLIENT_CLOSED = 499
QUIET = frozenset({"/livez", "/readyz", "/metrics"})
"""Asked every few seconds by machines."""
UNTRACED = "/api/llm/health"
TRACED = ("/api/", "/v1/")
"""Routes that work for somebody; the others are for machines and for reading about the service."""
SHOWN_PATH = 200
_SAFE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")

access_log = logging.getLogger("access")
logger = logging.getLogger(__name__)


class RequestContext:
    """Gives the request an id (the client's own, when it is harmless), logs and counts the request when it
    is over, and turns an error that nobody expected into a 500 without its text.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, routes: RouteNames, tracer: Tracer) -> None:
        self._app = app
        self._metrics = metrics
        self._routes = routes
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102 - ASGI
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = Headers(scope=scope).get("x-request-id", "")
        request_id = sent if _SAFE_ID.fullmatch(sent) else uuid.uuid4().hex
        record = RequestRecord()
        scope.setdefault("state", {}).update(request_id=request_id, record=record)
        exchange = _Exchange(receive, send, request_id)
        route = self._routes.name(scope["path"])
        span = self._begin(scope, route, request_id)
        with about_request(request_id, span.log_fields), inside(span):
            try:
                await self._app(scope, exchange.receive, exchange.send)
            except Exception:
                logger.exception("the request failed")
                record.error = "internal_error"
                if exchange.status == 0:
                    problem = Problem(500, "internal_error", "the service failed on this request")
                    await error_response(scope, problem)(scope, receive, exchange.send)
            finally:
                self._tell(scope, route, record, exchange.outcome)
                _end(span, record, exchange.outcome)

    def _begin(self, scope: Scope, route: str, request_id: str) -> Span:
        if route == UNTRACED or not route.startswith(TRACED):
            return NO_SPAN
        method = scope["method"] if scope["method"] in METHODS else "_OTHER"
        span = self._tracer.request(f"{method} {route}", Headers(scope=scope))
        if span.recording:
            # Neither query nor path, unless that is its own template: they may hold what is not ours to keep.
            path = None if "{" in route else route
            span.set({"http.request.method": method, "http.route": route, "url.path": path})
            span.set({"url.scheme": scope.get("scheme", "http"), "app.request_id": request_id})
        return span

    def _tell(self, scope: Scope, route: str, record: RequestRecord, status: int) -> None:
        seconds = time.monotonic() - record.arrived
        method = scope["method"]
        self._metrics.request_over(record, route=route, method=method, status=status, seconds=seconds)
        level = logging.DEBUG if route in QUIET else logging.INFO
        if not access_log.isEnabledFor(level):
            return
        about: dict[str, Any] = {
            "method": method,
            "route": route,
            # Paths that are nobody's are worth a look; the others may hold what is not ours to keep.
            "path": scope["path"][:SHOWN_PATH] if route == UNMATCHED else None,
            "status": status,
            "total_ms": _ms(seconds),
            "queue_ms": _ms(record.queue_s),
            "ttft_ms": _ms(record.ttft_s),
            "tokens_in": record.tokens_in,
            "tokens_out": record.tokens_out,
            "texts": record.texts,
            "model": record.model,
            "cache": record.cache,
            "error": record.error,
        }
        access_log.log(level, "request", extra={name: value for name, value in about.items() if value is not None})


class _Exchange:
    """The messages of one request, looked at as they pass."""

    def __init__(self, receive: Receive, send: Send, request_id: str) -> None:
        self.status = 0
        self._receive, self._send, self._request_id = receive, send, request_id
        self._finished = self._gone = False

    @property
    def outcome(self) -> int:
        """The status that was sent, or 499 when the client left before it had everything."""
        return CLIENT_CLOSED if self._gone and not self._finished else self.status or CLIENT_CLOSED

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self._finished:
            self._gone = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message)["X-Request-ID"] = self._request_id
        elif message["type"] == "http.response.body":
            self._finished = not message.get("more_body", False)
        await self._send(message)


def _end(span: Span, record: RequestRecord, status: int) -> None:
    span.set({"http.response.status_code": status})
    if status >= 500 or (status < 400 and record.error is not None):
        span.fail(record.error or str(status))
    else:
        span.set({"error.type": record.error})
    span.end()


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 1)
