"""A replica's own port, for Prometheus and for diagnosis of single replicas.

Serve routes every request to a replica of its choice, so it cannot be used to read one replica's metrics.
"""

import asyncio
import errno
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PORTS = 64
"""Number of ports to try; limits how many replicas per machine get a port."""


class NamesReplica:
    """Adds the replica's name to every response."""

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
    """Allows only GET and HEAD: work submitted here would be invisible to Serve's autoscaling."""

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
    """Listen on the first free port from ``first_port`` on; raise ``OSError`` when all are taken."""
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

    # No lifespan: the deployment runs the application's.
    config = uvicorn.Config(OnlyLooking(app), lifespan="off", access_log=False, log_config=None)
    return asyncio.create_task(uvicorn.Server(config).serve(sockets=[listening]), name="door")
