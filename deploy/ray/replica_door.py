"""A replica's own port, for those who have to see each one: Prometheus, and whoever looks for a fault.

Serve sends every request to a replica of its choice, so one replica's numbers cannot be asked for there.
"""

import asyncio
import errno
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PORTS = 64
"""So many ports from the first one are tried: more replicas than that have none on one machine."""


class NamesReplica:
    """Says in every response which replica it comes from."""

    def __init__(self, app: "ASGIApp", replica: str) -> None:
        self._app = app
        self._header = (b"x-replica", replica.encode())

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:  # noqa: D102 - ASGI
        async def send_named(message: "Message") -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), self._header]
            await send(message)

        await self._app(scope, receive, send_named)


class OnlyLooking:
    """Lets GET and HEAD pass: work that came in here would be counted by nobody who scales."""

    def __init__(self, app: "ASGIApp") -> None:
        self._app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:  # noqa: D102 - ASGI
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD"):
            headers = [(b"allow", b"GET, HEAD"), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 405, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return
        await self._app(scope, receive, send)


def first_free(host: str, first_port: int) -> socket.socket:
    """Listen on the first port from ``first_port`` on that nobody has; raises ``OSError`` when all are taken."""
    for port in range(first_port, first_port + PORTS):
        try:
            return socket.create_server((host, port))
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
    raise OSError(errno.EADDRINUSE, f"no port from {first_port} to {first_port + PORTS - 1} is free")


def open_door(app: "ASGIApp", listening: socket.socket) -> "asyncio.Task[None]":
    """Serve GETs on a socket until the returned task is cancelled."""
    import uvicorn

    # The deployment runs the application's lifespan; this is only another way in.
    config = uvicorn.Config(OnlyLooking(app), lifespan="off", access_log=False, log_config=None)
    return asyncio.create_task(uvicorn.Server(config).serve(sockets=[listening]), name="door")
