"""An id and one log line for every request; the last stop of an unforeseen error."""

import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from config.logs import about_request
from middleware.access_record import AccessRecord, access_record_of
from middleware.errors import send_error
from middleware.route_names import UNMATCHED, RouteNames
from observability.events import Observe, RequestOver
from observability.tracing import NO_SPAN, Span, Tracer, inside

logger = logging.getLogger("access")
_SAFE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
CLIENT_GONE = 499
"""nginx's status for a client that left before the answer; for log and metrics only."""
QUIET = frozenset({"/livez", "/readyz", "/metrics"})
"""Asked every few seconds by machines."""
TRACED = "/api/"
"""Routes that work for somebody; the others are the page's files and what machines ask."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SHOWN_PATH = 200


class RequestContextMiddleware:
    """Puts ``request_id`` into the request's state, on its log lines and on the response; logs and counts it.

    The log line has the route's template, never the query string or a body: questions are their asker's.
    """

    def __init__(self, app: ASGIApp, routes: RouteNames, observe: Observe, tracer: Tracer) -> None:
        self._app = app
        self._routes = routes
        self._observe = observe
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope).get("x-request-id"))
        scope.setdefault("state", {})["request_id"] = request_id
        record = access_record_of(scope)
        exchange = _Exchange(receive, send, request_id)
        started = time.monotonic()
        route = self._routes.name(scope["path"])
        span = self._begin(scope, route, request_id)
        with about_request(request_id, span.log_fields), inside(span):
            try:
                await self._app(scope, exchange.receive, exchange.send)
            except Exception as error:
                if isinstance(error, OSError) and exchange.client_left:
                    return  # Starlette's word for a client that left a stream.
                logger.exception("unhandled error")
                record.error = "internal_error"
                if exchange.status:
                    raise  # Half an answer is out: the server closes the connection.
                await send_with_500(scope, exchange.send)
            finally:
                self._tell(scope, route, exchange.outcome, time.monotonic() - started)
                _end(span, record, exchange.outcome)

    def _begin(self, scope: Scope, route: str, request_id: str) -> Span:
        if not route.startswith(TRACED):
            return NO_SPAN
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        span = self._tracer.request(f"{method} {route}", Headers(scope=scope))
        if span.recording:
            # Neither query nor path, unless that is its own template: they hold questions and ids.
            path = None if "{" in route else route
            span.set({"http.request.method": method, "http.route": route, "url.path": path})
            span.set({"url.scheme": scope.get("scheme", "http"), "app.request_id": request_id})
        return span

    def _tell(self, scope: Scope, route: str, status: int, seconds: float) -> None:
        method = scope["method"]
        self._observe(RequestOver(route, method, status, seconds))
        about: dict[str, object] = {"method": method, "route": route}
        # A path that is nobody's is worth a look; below /api it may be an id with a character that no route takes.
        if route == UNMATCHED and not scope["path"].startswith("/api/"):
            about["path"] = scope["path"][:_SHOWN_PATH]
        about |= {"status": status, "total_ms": round(seconds * 1000, 1), **access_record_of(scope).told()}
        logger.log(logging.DEBUG if route in QUIET else logging.INFO, "request", extra=about)


def _end(span: Span, record: AccessRecord, status: int) -> None:
    if span.recording:
        about = {f"app.{name}": value for name, value in record.told().items() if name != "error"}
        span.set({"http.response.status_code": status, **about})
        if status >= 500 or (status < 400 and record.error is not None):
            span.fail(record.error or str(status))
        else:
            span.set({"error.type": record.error})
    span.end()


class _Exchange:
    """The messages of one request, looked at as they pass."""

    def __init__(self, receive: Receive, send: Send, request_id: str) -> None:
        self.status = 0
        self._receive, self._send, self._request_id = receive, send, request_id
        self._finished = self._left = False

    @property
    def client_left(self) -> bool:
        """Whether the client left before it had everything."""
        return self._left and not self._finished

    @property
    def outcome(self) -> int:
        """The status that was sent, or 499."""
        return CLIENT_GONE if self.client_left else self.status or CLIENT_GONE

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


async def send_with_500(scope: Scope, send: Send) -> None:
    """Answer that something went wrong, and nothing about what."""
    await send_error(scope, send, 500, "internal_error", "something went wrong; the log knows this request's id")


def _request_id(sent: str | None) -> str:
    return sent if sent and _SAFE_ID.fullmatch(sent) else uuid.uuid4().hex
