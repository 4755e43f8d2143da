"""One HTTP request to a local model: JSON in, JSON or server-sent events out, work that ends when the client leaves."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any

from adapters.local.model import Refused

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Exchange:
    """Reads one request and writes its response."""

    def __init__(self, scope: Message, receive: Receive, send: Send) -> None:
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.request_id = self.headers.get(b"x-request-id", b"").decode("latin-1") or None
        self._receive = receive
        self._send = send
        self._started = False

    async def body(self) -> bytes:
        """Read the request's body."""
        body, more = b"", True
        while more:
            message = await self._receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        return body

    async def json(self, status: int, value: object, headers: dict[str, str] | None = None) -> None:
        """Send a whole response."""
        await self._start(status, "application/json", headers or {})
        await self._send({"type": "http.response.body", "body": json.dumps(value).encode()})

    async def event(self, value: object) -> None:
        """Send one server-sent event; the first one begins the response."""
        await self.write(f"data: {json.dumps(value)}\n\n", "text/event-stream")

    async def write(self, text: str, content_type: str) -> None:
        """Send a part of a stream; the first one begins the response."""
        if not self._started:
            await self._start(200, content_type, {})
        await self._send({"type": "http.response.body", "body": text.encode(), "more_body": True})

    async def done(self) -> None:
        """End a stream as the service does."""
        await self._send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    async def refuse(self, refusal: Refused) -> None:
        """Send an error, or end a stream that has begun with an error event."""
        about = {"type": refusal.error_type, "message": str(refusal), "request_id": self.request_id or ""}
        error = {"error": {**about, "retryable": refusal.retryable}}
        if self._started:
            await self.event(error)
            await self._send({"type": "http.response.body"})
            return
        after = {} if refusal.retry_after_s is None else {"retry-after": str(refusal.retry_after_s)}
        await self.json(refusal.status, error, after)

    async def while_connected(self, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work``; cancel it when the client hangs up."""
        working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(self._hung_up())
        try:
            await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            working.cancel()
            await asyncio.wait((working, leaving))
        if not working.cancelled():
            working.result()

    async def _hung_up(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _start(self, status: int, content_type: str, headers: dict[str, str]) -> None:
        self._started = True
        pairs = {"content-type": content_type, **headers}.items()
        encoded = [(name.encode(), value.encode()) for name, value in pairs]
        await self._send({"type": "http.response.start", "status": status, "headers": encoded})
