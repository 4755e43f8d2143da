"""Requests under way: the queue of each one's events, and the carriers that take requests to a model."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from typing import Protocol

from engines.base import (
    Failed,
    LastEvent,
    Request,
    RequestEvent,
)
from engines.errors import EngineRestarted, GenerationFailed, ServiceError
from workers.messages import Cancel, Submit

logger = logging.getLogger(__name__)


class Carrier(Protocol):
    """Takes requests to a model; their events come back through ``Streams.deliver``."""

    def send(self, message: Submit | Cancel, /) -> None:
        """Start or end a request; returns at once."""
        ...

    async def close(self) -> None:
        """Release what carries; requests under way have ended."""
        ...


class Streams:
    """Queues of events, one for each request under way. Use from one event loop."""

    def __init__(self) -> None:
        self._queues: dict[str, asyncio.Queue[RequestEvent]] = {}

    def __iter__(self) -> Iterator[str]:
        """Iterate over the ids of the requests under way."""
        return iter(tuple(self._queues))

    @contextlib.contextmanager
    def open(self, request: Request, carrier: Carrier) -> Iterator[AsyncIterator[RequestEvent]]:
        """Submit a request and give its events; leaving before the last one cancels it. What ``send`` raises passes."""
        events: asyncio.Queue[RequestEvent] = asyncio.Queue()
        carrier.send(Submit(request))
        self._queues[request.id] = events
        try:
            yield _until_end(events)
        finally:
            if self._queues.pop(request.id, None) is not None:
                carrier.send(Cancel(request.id))

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


class HttpCarrier:
    """Requests as tasks that read an answer over HTTP; ending a task hangs up.

    ``ask`` yields the events of a request up to the last and raises ``ServiceError``; ``close_client`` closes its
    connections; ``lost`` is awaited before a request fails because its server was lost.
    """

    def __init__(
        self,
        ask: Callable[[Request], AsyncGenerator[RequestEvent, None]],
        close_client: Callable[[], Awaitable[None]],
        deliver: Callable[[RequestEvent], None],
        lost: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._ask = ask
        self._lost = lost
        self._close_client = close_client
        self._deliver = deliver
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def send(self, message: Submit | Cancel) -> None:
        """Start a request's task, or cancel it."""
        if isinstance(message, Cancel):
            if (task := self._tasks.get(message.request_id)) is not None:
                task.cancel()
            return
        task = asyncio.create_task(self._run(message.request), name=f"request {message.request.id}")
        self._tasks[message.request.id] = task
        task.add_done_callback(lambda _: self._forget(message.request.id, task))

    async def close(self) -> None:
        """Hang up on every request, then close the client."""
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._close_client()

    def _forget(self, request_id: str, task: "asyncio.Task[None]") -> None:
        if self._tasks.get(request_id) is task:
            del self._tasks[request_id]

    async def _run(self, request: Request) -> None:
        try:
            async with contextlib.aclosing(self._ask(request)) as events:
                ended = False
                async for event in events:
                    ended = isinstance(event, LastEvent)
                    self._deliver(event)
            if not ended:
                self._deliver(Failed(request.id, EngineRestarted("the answer has no end; try again")))
        except ServiceError as error:
            if self._lost is not None and isinstance(error, EngineRestarted):
                await self._lost()
            self._deliver(Failed(request.id, error))
        except Exception:
            logger.exception("a request failed")
            self._deliver(Failed(request.id, GenerationFailed("the answer could not be read")))
