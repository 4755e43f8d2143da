"""llama.cpp's server and the client of its parent, driven as an ``Engine``: the suites run against both ends."""

import asyncio
import itertools
import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace

from config.settings import Settings
from engines.base import EngineInfo
from engines.errors import ServiceError
from engines.events import Accepted, Failed, Finished, RequestEvent, Tokenized
from engines.llamacpp.client import LlamaCppClient
from engines.requests import Request, TokenizeRequest
from models.artifacts import ModelArtifact

PATIENCE_S = 120.0


class EndpointEngine:
    """An ``Engine`` over HTTP; ``submit`` returns once the server has accepted or refused the request."""

    batch_size = 0
    kv_cache_usage: float | None = None

    def __init__(self, artifact: ModelArtifact, settings: Settings) -> None:
        from engines.llamacpp.server import LlamaCppServer

        self.server = LlamaCppServer(artifact, settings)
        self.client = LlamaCppClient(self.server.endpoint, self.server.info, settings.llm_stall_timeout_s)
        self._events: queue.SimpleQueue[RequestEvent] = queue.SimpleQueue()
        self._running: dict[str, tuple[str, Future[None]]] = {}
        """By the test's id, which may be used again, the id on the wire, which is not, and its task."""
        self._numbers = itertools.count()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    @property
    def info(self) -> EngineInfo:
        return self.client.info

    @info.setter
    def info(self, info: EngineInfo) -> None:
        self.client.info = info

    @property
    def running(self) -> int:
        return len(self._running)

    def warm_up(self) -> None:
        self.server.warm_up()

    def submit(self, request: Request) -> None:
        wire_id = f"{request.id}/{next(self._numbers)}"
        answered: queue.SimpleQueue[ServiceError | None] = queue.SimpleQueue()
        task = asyncio.run_coroutine_threadsafe(self._ask(replace(request, id=wire_id), answered), self._loop)
        refusal = answered.get(timeout=PATIENCE_S)
        if refusal is not None and refusal.type == "context_length_exceeded":
            raise refusal
        self._running[request.id] = (wire_id, task)

    def tokenize(self, request: TokenizeRequest) -> Tokenized:
        async def ask() -> Tokenized:
            async with self.client.open(request) as events:
                (event,) = [event async for event in events]
            assert isinstance(event, Tokenized)
            return event

        return asyncio.run_coroutine_threadsafe(ask(), self._loop).result(PATIENCE_S)

    def cancel(self, request_id: str) -> None:
        if request_id in self._running:
            self._running.pop(request_id)[1].cancel()

    def step(self) -> Sequence[RequestEvent]:
        try:
            event = self._events.get(timeout=0.05)
        except queue.Empty:
            return []
        name = event.request_id.rpartition("/")[0]
        if name not in self._running or self._running[name][0] != event.request_id:
            return []
        if isinstance(event, Finished | Failed):
            del self._running[name]
        return [replace(event, request_id=name)]

    def close(self) -> None:
        for request_id in tuple(self._running):
            self.cancel(request_id)
        asyncio.run_coroutine_threadsafe(self.client.close(), self._loop).result(PATIENCE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()
        self.server.close()

    async def _ask(self, request: Request, answered: "queue.SimpleQueue[ServiceError | None]") -> None:
        try:
            async with self.client.open(request) as events:
                async for event in events:
                    if isinstance(event, Accepted):
                        answered.put(None)
                    self._events.put(event)
        except ServiceError as error:
            self._events.put(Failed(request.id, error))
            answered.put(error)
