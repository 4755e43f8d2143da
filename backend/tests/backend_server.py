"""The app on a real port, with its collaborators chosen by the test."""

import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn

from adapters.ports.models import (
    ChatMessage,
    Completion,
    Embeddings,
    InputType,
    SamplingOptions,
    TechnicalError,
    TextDelta,
)
from adapters.supabase_adapter import SupabaseAdapter
from config.settings import Settings
from main import create_app
from tests.backend_process import answers, wait_until


class LocalStub:
    """The local model without weights: answers, or is unavailable."""

    def __init__(self, answer: str | None = 'En bora, "perro" se dice "oohííbye".') -> None:
        self.answer = answer
        self.asked = 0

    async def complete(
        self, messages: Sequence[ChatMessage], options: SamplingOptions, *, request_id: str | None = None
    ) -> Completion:
        self.asked += 1
        if self.answer is None:
            raise TechnicalError("no model here", reason="local_unavailable")
        return Completion(self.answer, "stub", "local")

    async def stream(
        self, messages: Sequence[ChatMessage], options: SamplingOptions, *, request_id: str | None = None
    ) -> AsyncIterator[TextDelta | Completion]:
        completion = await self.complete(messages, options)
        yield TextDelta(completion.answer)
        yield completion

    async def embed_texts(
        self, texts: Sequence[str], *, input_type: InputType = "document", request_id: str | None = None
    ) -> Embeddings:
        raise TechnicalError("no model here", reason="local_unavailable")

    def warm(self) -> None:
        pass

    async def close(self) -> None:
        pass


def settings_for(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[call-arg]


@contextmanager
def running_backend(
    local: LocalStub | None = None, /, store: SupabaseAdapter | None = None, **values: Any
) -> Iterator[httpx.Client]:
    """Serve the app with these settings and yield a client of it."""
    # With the protocol named, asyncio turns Nagle's algorithm off; it costs 40 ms a request.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    app = create_app(settings_for(**values), store=store, local=local or LocalStub())
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=2, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.005)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=30) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def ready_backend(
    local: LocalStub | None = None, /, store: SupabaseAdapter | None = None, **values: Any
) -> Iterator[httpx.Client]:
    """The same, once it is ready."""
    with running_backend(local, store, **values) as client:
        wait_until(lambda: answers(client, "/readyz", 200))
        yield client
