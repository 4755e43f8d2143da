"""Outermost middleware: request id, record, span, access line, metrics, and the answer to an unexpected error."""

import logging
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext

from opentelemetry.trace import INVALID_SPAN, Span
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service_kit.disconnect import CLIENT_CLOSED
from service_kit.errors import Problem, Respond, error_response
from service_kit.observability import tracing
from service_kit.observability.logs import about_request
from service_kit.observability.metrics import METHODS
from service_kit.observability.records import RequestRecord, request_id
from service_kit.observability.route_names import UNMATCHED, RouteNames

QUIET = frozenset({"/livez", "/readyz", "/metrics", "/api/llm/status"})
"""Routes that machines poll; their access lines have level DEBUG."""
INTERNAL_ERROR = Problem(500, "internal_error", "internal error; the log has it under this request id")
_PATH_CHARS = 200
_REQUEST_ERROR_STATUS, _SERVER_ERROR_STATUS = 400, 500

access_log = logging.getLogger("access")
logger = logging.getLogger(__name__)


class RequestContext:
    """Surrounds every request.

    Args:
        routes: names paths for logs and metrics.
        traces: opens the spans of routes that begin with a prefix of ``traced``, except those in ``untraced``.
        new_record: makes the request's record, ``scope["state"]["record"]``.
        on_end: gets the record of every finished request, to count it.
        respond: renders the error of an unexpected exception.

    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        routes: RouteNames,
        traces: tracing.Tracing,
        traced: tuple[str, ...],
        untraced: Collection[str] = (),
        new_record: Callable[[], RequestRecord] = RequestRecord,
        on_end: Callable[[RequestRecord], None],
        respond: Respond = error_response,
    ) -> None:
        self._app = app
        self._routes = routes
        self._traces, self._traced, self._untraced = traces, traced, frozenset(untraced)
        self._new_record, self._on_end, self._respond = new_record, on_end, respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        record = self._new_record()
        record.request_id = request_id(headers.get("x-request-id", ""))
        record.method, record.route = scope["method"], self._routes.name(scope["path"])
        scope.setdefault("state", {}).update(request_id=record.request_id, record=record)
        exchange = _Exchange(receive, send, record.request_id)
        with self._span(record, headers) as span, about_request(record.request_id, tracing.log_fields(span)):
            try:
                await self._app(scope, exchange.receive, exchange.send)
            except Exception as error:
                if isinstance(error, OSError | ClientDisconnect) and exchange.client_left:
                    return
                logger.exception("unhandled error")
                record.error = INTERNAL_ERROR.type
                if exchange.status == 0:
                    await self._respond(scope, INTERNAL_ERROR, None)(scope, receive, exchange.send)
                # Otherwise part of an answer is out: the server closes the connection.
            finally:
                record.status, record.seconds = exchange.outcome, time.monotonic() - record.arrived
                self._on_end(record)
                _log(record, scope["path"])
                _end(span, record, scope.get("scheme", "http"))

    def _span(self, record: RequestRecord, headers: Headers) -> AbstractContextManager[Span]:
        if record.route in self._untraced or not record.route.startswith(self._traced):
            return nullcontext(INVALID_SPAN)
        return self._traces.request(f"{_span_method(record)} {record.route}", headers)


class _Exchange:
    """The messages of one request, observed as they pass."""

    def __init__(self, receive: Receive, send: Send, request_id: str) -> None:
        self.status = 0
        self._receive, self._send, self._request_id = receive, send, request_id
        self._finished = self._left = False

    @property
    def client_left(self) -> bool:
        """Whether the client left before it had the whole answer."""
        return self._left and not self._finished

    @property
    def outcome(self) -> int:
        """The status sent, or 499."""
        return CLIENT_CLOSED if self.client_left else self.status or CLIENT_CLOSED

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self._finished:
            self._left = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message)["X-Request-ID"] = self._request_id
        elif message["type"] == "http.response.body":
            self._finished = not message.get("more_body", False)
        await self._send(message)


def _span_method(record: RequestRecord) -> str:
    return record.method if record.method in METHODS else "_OTHER"


def _log(record: RequestRecord, path: str) -> None:
    level = logging.DEBUG if record.route in QUIET else logging.INFO
    if not access_log.isEnabledFor(level):
        return
    fields = {
        "method": record.method,
        "route": record.route,
        # Below /api/ an unmatched path may hold a document's id.
        "path": path[:_PATH_CHARS] if record.route == UNMATCHED and not path.startswith("/api/") else None,
        "status": record.status,
        "total_ms": round(1000 * record.seconds, 1),
        **record.facts(),
        "key": record.key,
        "error": record.error,
    }
    access_log.log(level, "request", extra={name: value for name, value in fields.items() if value is not None})


def _end(span: Span, record: RequestRecord, scheme: str) -> None:
    if not span.is_recording():
        return
    attributes = {
        "http.request.method": _span_method(record),
        "http.route": record.route,
        # Queries and path parameters hold questions and ids.
        "url.path": None if "{" in record.route else record.route,
        "url.scheme": scheme,
        "http.response.status_code": record.status,
        "error.type": record.error,
        "app.request_id": record.request_id,
        "app.key": record.key,
        **{f"app.{name}": value for name, value in record.facts().items()},
    }
    tracing.annotate(span, attributes)
    if record.status >= _SERVER_ERROR_STATUS or (record.status < _REQUEST_ERROR_STATUS and record.error is not None):
        tracing.fail(span, record.error or str(record.status))
    tracing.end(span)
