"""Request bodies: size limit, draining of unread parts, and the reason why one is not valid JSON."""

import asyncio
from collections.abc import Mapping

from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service_kit.errors import Problem, Respond, error_response

REST_BYTES, REST_S = 64 * 1024 * 1024, 10.0
"""Limits for reading and dropping a body that the answer does not need."""


class BodyLimit:
    """Reads the body up to ``max_bytes`` and passes it on, or answers 413 before it is held in memory.

    ``of_paths`` has the limits of paths that differ.
    """

    def __init__(
        self, app: ASGIApp, max_bytes: int, respond: Respond = error_response, of_paths: Mapping[str, int] | None = None
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._respond = respond
        self._of_paths = of_paths or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        limit = self._of_paths.get(scope["path"], self._max_bytes)
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > limit:
            await self._refuse(limit, scope, receive, send)
            return
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if len(body) > limit:
                await self._refuse(limit, scope, receive, send)
                return
            if not message.get("more_body", False):
                break
        await self._app(scope, _replay(bytes(body), receive), send)

    async def _refuse(self, limit: int, scope: Scope, receive: Receive, send: Send) -> None:
        # A body of any size may follow, so the connection is not used again.
        problem = Problem(413, "request_too_large", f"the body is larger than {limit} bytes")
        await self._respond(scope, problem, {"Connection": "close"})(scope, receive, send)


class RestOfBody:
    """Reads the rest of the body that a refusal has left, before the answer ends.

    Many clients (``urllib``, JDK's) send the whole body before they read. A server that closes a connection with
    unread data resets it, and the client loses the answer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or not _sends_body(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        body_read = False

        async def noting_receive() -> Message:
            nonlocal body_read
            message = await receive()
            body_read = body_read or not message.get("more_body", False)
            return message

        async def reading_send(message: Message) -> None:
            if body_read or message["type"] != "http.response.body" or message.get("more_body", False):
                await send(message)
                return
            # The answer first: a client that reads while it writes stops sending.
            await send({**message, "more_body": True})
            await _drop_rest(receive)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self._app(scope, noting_receive, reading_send)


def _sends_body(headers: Headers) -> bool:
    # After "100-continue" the client sends nothing before the application reads.
    if headers.get("expect", "").lower() == "100-continue":
        return False
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


async def _drop_rest(receive: Receive) -> None:
    left = REST_BYTES
    try:
        async with asyncio.timeout(REST_S):
            while left > 0:
                message = await receive()
                if not message.get("more_body", False):
                    return
                left -= len(message.get("body", b""))
    except TimeoutError:
        return


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that yields the body once, then the server's messages."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return pending.pop() if pending else await receive()

    return replayed


def unreadable_body(headers: Mapping[str, str], error: Exception) -> Problem | None:
    """Return why FastAPI could not read a request's body as JSON; ``None`` where ``error`` has another reason.

    Args:
        headers: of the request.
        error: what FastAPI raised.

    """
    cause = error.__cause__
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        if first["type"] == "missing" and tuple(first["loc"]) == ("body",):
            return _malformed("the body is empty; send JSON")
        if first["type"] != "json_invalid":
            return _not_declared_as_json(headers) if isinstance(error.body, bytes) else None
        reason = f"the body is not JSON: {first['ctx']['error']} (character {first['loc'][-1]})"
    elif not isinstance(error, HTTPException):
        return None
    elif isinstance(cause, UnicodeDecodeError):
        reason = f"the body is not UTF-8, which JSON must be (byte {cause.start})"
    elif isinstance(cause, RecursionError):
        reason = "the body is nested too deeply"
    elif isinstance(cause, ValueError):
        reason = "the body is not JSON that can be read; perhaps a number is too long"
    else:
        return None
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        return Problem(415, "unsupported_media_type", f"the body is encoded ({encoding[:20]}); send it as it is")
    return _malformed(reason)


def _malformed(reason: str) -> Problem:
    return Problem(422, "invalid_request", reason)


def _not_declared_as_json(headers: Mapping[str, str]) -> Problem:
    declared = headers.get("content-type", "").partition(";")[0].strip()
    found = f"the Content-Type is {declared[:60]}" if declared else "the Content-Type is missing"
    return Problem(415, "unsupported_media_type", f"{found}; send Content-Type: application/json")
