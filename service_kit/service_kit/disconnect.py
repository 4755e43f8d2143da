"""Work that is cancelled when its client disconnects."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

T = TypeVar("T")
CLIENT_CLOSED = 499
"""nginx's status for a client that left before the answer; for logs and metrics only."""


class ClientDisconnected(Exception):
    """The client left before its answer was ready."""


class DeadlineExceeded(Exception):
    """The request's time limit has passed."""


async def until_disconnect(request: Request, work: Coroutine[Any, Any, T], timeout_s: float | None = None) -> T:
    """Await ``work``; cancel it when the client leaves or ``timeout_s`` seconds pass.

    Call it after the request's body has been read: the next message is the disconnect.
    Raises ``ClientDisconnected`` and ``DeadlineExceeded``.
    """
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_disconnect(request))
    try:
        await asyncio.wait((working, watching), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnected if watching.done() else DeadlineExceeded
    finally:
        working.cancel()
        watching.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
