"""llama.cpp's server and the client of its parent, driven as an ``Engine``: the suites run against both ends."""

import asyncio
import itertools
import queue
import threading
from collections.abc import Sequence
from dataclasses import replace

from config.settings import Settings
from engines.base import (
    Accepted,
    EngineInfo,
    Failed,
    Finished,
    Request,
    RequestEvent,
)
from engines.llamacpp.client import LlamaCppClient
from models.artifacts import ModelArtifact
from workers.messages import Cancel, Submit
from workers.streams import HttpCarrier

PATIENCE_S = 120.0


class EndpointEngine:
    """An ``Engine`` over HTTP; ``submit`` returns once the server has accepted or refused the request."""

    batch_size = 0
    kv_cache_usage: float | None = None

    def __init__(self, artifact: ModelArtifact, settings: Settings) -> None:
        from engines.llamacpp.server import LlamaCppServer

        self.server = LlamaCppServer(artifact, settings)
        self.client = LlamaCppClient(self.server.endpoint, self.server.info, settings.llm_stall_timeout_s)
        self._carrier = HttpCarrier(self.client.ask, self.client.close, self._deliver)
        self._events: queue.SimpleQueue[RequestEvent] = queue.SimpleQueue()
        self._waiting: dict[str, tuple[threading.Event, list[Failed]]] = {}
        self._running: dict[str, str] = {}
        """By the test's id, which may be used again, the id on the wire, which is not."""
        self._live: set[str] = set()
        self._generation = itertools.count()
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
        wire_id = f"{request.id}/{next(self._generation)}"
        known, refusals = self._waiting[wire_id] = threading.Event(), []
        self._live.add(wire_id)
        self._loop.call_soon_threadsafe(self._carrier.send, Submit(replace(request, id=wire_id)))
        assert known.wait(PATIENCE_S), "neither accepted nor refused"
        del self._waiting[wire_id]
        if refusals and refusals[0].error.type == "context_length_exceeded":
            raise refusals[0].error
        self._running[request.id] = wire_id
        for refusal in refusals:
            self._events.put(refusal)

    def cancel(self, request_id: str) -> None:
        wire_id = self._running.pop(request_id, request_id)
        self._live.discard(wire_id)
        self._loop.call_soon_threadsafe(self._carrier.send, Cancel(wire_id))

    def step(self) -> Sequence[RequestEvent]:
        try:
            event = self._events.get(timeout=0.05)
        except queue.Empty:
            return []
        name = event.request_id.rpartition("/")[0]
        if self._running.get(name) != event.request_id:
            return []
        if isinstance(event, Finished | Failed):
            del self._running[name]
        return [replace(event, request_id=name)]

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._carrier.close(), self._loop).result(PATIENCE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()
        self.server.close()

    def _deliver(self, event: RequestEvent) -> None:
        if event.request_id not in self._live:
            return
        if isinstance(event, Finished | Failed):
            self._live.discard(event.request_id)
        waiting = self._waiting.get(event.request_id)
        if waiting is not None and isinstance(event, Failed):
            waiting[1].append(event)
            waiting[0].set()
            return
        if waiting is not None and isinstance(event, Accepted):
            waiting[0].set()
        self._events.put(event)
