"""Outermost of all: every request gets an id, one line in the log, and an answer."""

import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from routers.errors import error_response
from routers.problem import Problem

CLIENT_CLOSED = 499
PROBES = frozenset({"/livez", "/readyz"})
_SAFE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")

access_log = logging.getLogger("access")
logger = logging.getLogger(__name__)


class RequestContext:
    """Gives the request an id (the client's own, when it is harmless), logs the request when it is
    over, and turns an error that nobody expected into a 500 without its text.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102 - ASGI
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = Headers(scope=scope).get("x-request-id", "")
        request_id = sent if _SAFE_ID.fullmatch(sent) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        started, status, finished, gone = time.monotonic(), 0, False, False

        async def watched_receive() -> Message:
            nonlocal gone
            message = await receive()
            if message["type"] == "http.disconnect" and not finished:
                gone = True
            return message

        async def watched_send(message: Message) -> None:
            nonlocal status, finished
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            elif message["type"] == "http.response.body":
                finished = not message.get("more_body", False)
            await send(message)

        try:
            await self._app(scope, watched_receive, watched_send)
        except Exception:
            logger.exception("request %s failed", request_id)
            if status == 0:
                problem = Problem(500, "internal_error", "the service failed on this request")
                await error_response(scope, problem)(scope, receive, watched_send)
        finally:
            shown = CLIENT_CLOSED if gone and not finished else status
            # The path comes from the client; its repr cannot break the line.
            level = logging.DEBUG if scope["path"] in PROBES else logging.INFO
            access_log.log(
                level, "%s %r %d %.0fms id=%s",
                scope["method"], scope["path"], shown, 1000 * (time.monotonic() - started), request_id,
            )  # fmt: skip
