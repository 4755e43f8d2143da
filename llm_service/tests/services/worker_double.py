"""A worker without a process: a fake engine stepped in the test's own event loop."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator

from engines.base import Engine
from engines.events import Embedded, Failed, Finished, RequestEvent
from engines.requests import EmbeddingRequest, Request
from workers.worker import Worker


class WorkerDouble(Worker):
    """A ``Worker`` that answers as its engine does and remembers what it was sent.

    A request waits while ``gate`` is closed.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine
        self.state, self.info = "ready", engine.info
        self.sent: list[Request] = []
        self.gate = asyncio.Event()
        self.gate.set()

    @property
    def texts_sent(self) -> list[tuple[str, ...]]:
        """The texts of each embedding request."""
        return [request.texts for request in self.sent if isinstance(request, EmbeddingRequest)]

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""

    def replace_model(self, fingerprint: str) -> None:
        """Let another model answer from now on."""
        self.info = dataclasses.replace(self.engine.info, fingerprint=fingerprint)

    @contextlib.asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[AsyncIterator[RequestEvent]]:
        """Submit when the gate is open; leaving cancels."""
        await self.gate.wait()
        self.sent.append(request)
        self.engine.submit(request)
        try:
            yield self._events()
        finally:
            self.engine.cancel(request.id)

    async def _events(self) -> AsyncIterator[RequestEvent]:
        while True:
            await asyncio.sleep(0)
            for event in self.engine.step():
                if isinstance(event, Failed):
                    raise event.error
                yield event
                if isinstance(event, Embedded | Finished):
                    return
