"""The local fallback: the same models in this process, loaded once, on first need, off the event loop."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from concurrent.futures import Future
from contextlib import aclosing
from typing import Generic, TypeVar

from adapters.base import (
    AdapterError,
    ChatMessage,
    Completion,
    Embeddings,
    SamplingOptions,
    TechnicalError,
    TextDelta,
)
from adapters.local_engine import LocalAnswer, LocalEncoder, LocalGenerator
from adapters.local_models import (
    LocalModelConfig,
    config_from_settings,
    embedding_fingerprint,
    resolve_embedding_model,
    resolve_language_model,
)
from adapters.worker_thread import TooManyJobs, WorkerThread
from config.settings import settings

logger = logging.getLogger(__name__)
T = TypeVar("T")
M = TypeVar("M")
_CLOSE_S = 5.0


class OnceLoaded(Generic[M]):
    """Something loaded on first need and kept; a failure is kept too, for a while.

    Used from one worker thread only: whoever comes while it loads waits in that thread's queue.
    """

    def __init__(self, load: Callable[[], M], retry_after_s: float) -> None:
        self._load = load
        self._retry_after_s = retry_after_s
        self._value: M | None = None
        self._fault: TechnicalError | None = None
        self._failed_at = 0.0

    @property
    def is_loaded(self) -> bool:
        """Whether ``get`` has nothing left to do."""
        return self._value is not None

    def get(self) -> M:
        """Return it, loading it if need be; raise ``TechnicalError`` with reason ``local_unavailable``."""
        if self._value is None:
            if self._fault is not None and time.monotonic() - self._failed_at < self._retry_after_s:
                raise TechnicalError(str(self._fault), reason=self._fault.reason)
            try:
                self._value = self._load()
            except Exception as error:
                logger.exception("local model could not be loaded")
                self._fault = TechnicalError(f"local model: {error}", reason="local_unavailable")
                self._failed_at = time.monotonic()
                raise self._fault from error
        return self._value


class HuggingFaceAdapter:
    """A ``LanguageModel`` and an ``Embedder`` that need nobody else.

    Each of the two models has its own thread and is loaded when it is first asked for. Waiting
    callers are few on purpose: a queue in front of a CPU helps nobody.
    """

    def __init__(self, config: LocalModelConfig | None = None) -> None:
        self.config = config = config or config_from_settings(settings)
        self._language_thread = WorkerThread("local-llm", config.max_waiting)
        self._embedding_thread = WorkerThread("local-embedder", config.max_waiting)
        self._generator = OnceLoaded(
            lambda: LocalGenerator(resolve_language_model(config), config), config.reload_after_s
        )
        self._encoder = OnceLoaded(lambda: LocalEncoder(resolve_embedding_model(config), config), config.reload_after_s)
        self._fingerprint = OnceLoaded(
            lambda: embedding_fingerprint(resolve_embedding_model(config)), config.reload_after_s
        )
        self._running: set[threading.Event] = set()

    async def close(self) -> None:
        """Stop what runs and give the threads a moment to end."""
        for stop in self._running:
            stop.set()
        await asyncio.to_thread(self._language_thread.close, _CLOSE_S)
        await asyncio.to_thread(self._embedding_thread.close, _CLOSE_S)

    def chat_completion(self, messages: Sequence[ChatMessage]) -> str:
        """Return the answer's text; blocks, so never call it on an event loop."""
        stop = threading.Event()
        future = self._submit(self._language_thread, lambda: self._generate(messages, SamplingOptions(), _ignore, stop))
        return future.result().text

    async def complete(
        self, messages: Sequence[ChatMessage], options: SamplingOptions, *, request_id: str | None = None
    ) -> Completion:
        """Return the whole answer; raise ``TechnicalError`` or ``LogicalError``."""
        async with aclosing(self.stream(messages, options, request_id=request_id)) as parts:
            async for part in parts:
                if isinstance(part, Completion):
                    return part
        raise TechnicalError("the local model gave no answer", reason="local_failed")

    async def stream(
        self,
        messages: Sequence[ChatMessage],
        options: SamplingOptions,
        *,
        request_id: str | None = None,  # noqa: ARG002 - the protocol has it; nobody further on wants it
    ) -> AsyncGenerator[TextDelta | Completion, None]:
        """Yield deltas, then one ``Completion``; closing the iterator stops the generation at the next token."""
        loop = asyncio.get_running_loop()
        parts: asyncio.Queue[TextDelta | None] = asyncio.Queue()
        stop = threading.Event()

        def tell(part: TextDelta | None) -> None:
            if not stop.is_set():
                loop.call_soon_threadsafe(parts.put_nowait, part)

        future = self._submit(
            self._language_thread,
            lambda: self._generate(messages, options, lambda text: tell(TextDelta(text)), stop),
        )
        future.add_done_callback(lambda _future: tell(None))
        self._running.add(stop)
        deadline = self._deadline(self._generator)
        try:
            while (part := await _before(deadline, parts.get())) is not None:
                yield part
            answer = future.result()
            yield self._completion(answer)
        finally:
            stop.set()
            future.cancel()
            self._running.discard(stop)

    async def fingerprint(self) -> str:
        """Return the fingerprint of the local vectors without loading the model."""
        return await self._on_embedder(self._fingerprint.get)

    async def embed_texts(self, texts: Sequence[str], *, request_id: str | None = None) -> Embeddings:  # noqa: ARG002
        """Return one vector a text, in order; raise ``TechnicalError``."""
        vectors, fingerprint = await self._on_embedder(
            lambda: (self._encoder.get().encode(texts), self._fingerprint.get())
        )
        if any(len(vector) != self.config.dimension for vector in vectors):
            raise TechnicalError(
                f"{self.config.embedding_model} does not give {self.config.dimension} numbers a vector",
                reason="local_unavailable",
            )
        return Embeddings(vectors, self.config.embedding_model, fingerprint, "local")

    async def _on_embedder(self, job: Callable[[], T]) -> T:
        future = self._submit(self._embedding_thread, job)
        return await _before(self._deadline(self._encoder), asyncio.wrap_future(future))

    def _deadline(self, model: OnceLoaded[LocalGenerator] | OnceLoaded[LocalEncoder]) -> float:
        """Return until when to wait, in the monotonic clock's time."""
        loading_s = 0.0 if model.is_loaded else self.config.load_timeout_s
        return time.monotonic() + self.config.timeout_s + loading_s

    def _generate(
        self,
        messages: Sequence[ChatMessage],
        options: SamplingOptions,
        on_text: Callable[[str], None],
        stop: threading.Event,
    ) -> LocalAnswer:
        """Run on the worker thread."""
        if stop.is_set():
            return LocalAnswer("", 0, "cancelled", 0.0)
        return self._generator.get().generate(messages, options, on_text, stop)

    def _submit(self, thread: WorkerThread, job: Callable[[], T]) -> "Future[T]":
        def guarded() -> T:
            try:
                return job()
            except AdapterError:
                raise
            except Exception as error:
                logger.exception("local model failed")
                raise TechnicalError(f"local model: {error}", reason="local_failed") from error

        try:
            return thread.submit(guarded)
        except TooManyJobs as error:
            raise TechnicalError("the local model is busy", reason="overloaded") from error

    def _completion(self, answer: LocalAnswer) -> Completion:
        generator = self._generator.get()
        seconds = answer.total_ms / 1000
        return Completion(
            answer=answer.text,
            model=generator.name,
            served_by="local",
            finish_reason=answer.finish_reason,
            tokens_generated=answer.tokens,
            degraded=generator.substituted,
            timings={
                "total_ms": answer.total_ms,
                "tokens_per_second": answer.tokens / seconds if seconds else 0.0,
            },
        )


async def _before(deadline: float, awaitable: Awaitable[T]) -> T:
    """Await with a time limit."""
    try:
        async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
            return await awaitable
    except TimeoutError as error:
        raise TechnicalError("the local model did not answer in time", reason="timeout") from error


def _ignore(_text: str) -> None:
    """Take a piece of text and do nothing with it."""
