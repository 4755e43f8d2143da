"""An id and one log line for every request; the last stop of an unforeseen error."""

import asyncio
import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from middleware.errors import send_error

logger = logging.getLogger("access")
_SAFE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
CLIENT_GONE = 499
"""nginx's status for a client that left before the answer; for the log only."""


class RequestContextMiddleware:
    """Puts ``request_id`` into the request's state and on the response, and writes the access log.

    The log line has the path, never the query string or a body: questions are their asker's.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope).get("x-request-id"))
        scope.setdefault("state", {})["request_id"] = request_id
        started = time.monotonic()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except asyncio.CancelledError:
            status = status or CLIENT_GONE
            raise
        except Exception:
            logger.exception("unhandled error", extra={"request_id": request_id})
            if status:
                raise  # Half an answer is out: the server closes the connection.
            await send_with_500(scope, send_with_id)
        finally:
            _log(scope, status, started, request_id)


async def send_with_500(scope: Scope, send: Send) -> None:
    """Answer that something went wrong, and nothing about what."""
    await send_error(scope, send, 500, "internal_error", "something went wrong; the log knows this request's id")


def _request_id(sent: str | None) -> str:
    return sent if sent and _SAFE_ID.fullmatch(sent) else uuid.uuid4().hex


def _log(scope: Scope, status: int, started: float, request_id: str) -> None:
    shown = scope.get("state", {}).get("log_status") or status or CLIENT_GONE
    logger.info(
        "request",
        extra={
            "method": scope["method"],
            "path": scope["path"][:200],
            "status": shown,
            "ms": round((time.monotonic() - started) * 1000, 1),
            "request_id": request_id,
        },
    )
