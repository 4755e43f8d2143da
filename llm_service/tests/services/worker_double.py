"""A worker without a process: a fake engine stepped in the test's own event loop."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator

from engines.base import EmbeddingRequest, EngineInfo, GenerationRequest, RequestEvent
from engines.client import WorkerState
from engines.fake import FakeEmbedder


class EmbedderDouble:
    """A ``Worker`` that embeds as ``FakeEmbedder`` does and remembers which texts it was sent.

    A request waits while ``gate`` is closed. Setting ``info`` replaces the model.
    """

    def __init__(self) -> None:
        self.engine = FakeEmbedder()
        self.state: WorkerState = "ready"
        self.info: EngineInfo | None = self.engine.info
        self.restarts = 0
        self.last_error: str | None = None
        self.sent: list[tuple[str, ...]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""

    async def wait_ready(self) -> None:
        """It is."""
        await self.gate.wait()

    def replace_model(self, fingerprint: str) -> None:
        """Let another model answer from now on."""
        self.info = dataclasses.replace(self.engine.info, fingerprint=fingerprint)

    @contextlib.asynccontextmanager
    async def open(self, request: GenerationRequest | EmbeddingRequest) -> AsyncIterator[AsyncIterator[RequestEvent]]:
        """Embed at once."""
        assert isinstance(request, EmbeddingRequest)
        self.sent.append(request.texts)
        self.engine.submit(request)
        yield self._events()

    async def _events(self) -> AsyncIterator[RequestEvent]:
        for event in self.engine.step():
            yield event
