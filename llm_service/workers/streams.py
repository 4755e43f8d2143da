"""Event queues of the running requests of a worker."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator

from engines.errors import EngineRestarted
from engines.events import Failed, LastEvent, RequestEvent
from engines.requests import Request
from workers.messages import Cancel

Send = Callable[[Request | Cancel], None]
"""Queues a message to the worker; returns at once."""


class Streams:
    """Queues of events, one for each running request. Use from one event loop."""

    def __init__(self) -> None:
        self._queues: dict[str, asyncio.Queue[RequestEvent]] = {}

    def __iter__(self) -> Iterator[str]:
        """Iterate over the ids of the running requests."""
        return iter(tuple(self._queues))

    @contextlib.contextmanager
    def open(self, request: Request, send: Send) -> Iterator[AsyncIterator[RequestEvent]]:
        """Submit a request and give its events; leaving before the last one cancels it. Raises what ``send`` raises."""
        events: asyncio.Queue[RequestEvent] = asyncio.Queue()
        send(request)
        self._queues[request.id] = events
        try:
            yield _until_end(events)
        finally:
            if self._queues.pop(request.id, None) is not None:
                send(Cancel(request.id))

    def deliver(self, event: RequestEvent) -> None:
        """Hand an event to the reader of its request; events of requests that were left are dropped."""
        if isinstance(event, LastEvent):
            events = self._queues.pop(event.request_id, None)
        else:
            events = self._queues.get(event.request_id)
        if events is not None:
            events.put_nowait(event)

    def fail_all(self, message: str) -> None:
        """End every request with ``EngineRestarted``."""
        for request_id in self:
            self.deliver(Failed(request_id, EngineRestarted(message)))


async def _until_end(events: "asyncio.Queue[RequestEvent]") -> AsyncIterator[RequestEvent]:
    while True:
        event = await events.get()
        if isinstance(event, Failed):
            raise event.error
        yield event
        if isinstance(event, LastEvent):
            return
