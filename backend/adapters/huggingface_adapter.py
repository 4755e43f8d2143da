"""The local fallback: the same models in a process of their own, which runs only while it is needed."""

import asyncio
import contextlib
import queue
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import TypeVar

from adapters.base import (
    ChatMessage,
    Completion,
    Embeddings,
    SamplingOptions,
    TechnicalError,
    TextDelta,
)
from adapters.local_config import LocalModelConfig, config_from_settings
from adapters.local_messages import (
    Answered,
    Embed,
    Failed,
    Fingerprint,
    Generate,
    Job,
    JobEvent,
    Lane,
    Piece,
    TellFingerprint,
    Vectors,
)
from adapters.local_process import COMMAND
from adapters.local_supervisor import LocalSupervisor
from config.settings import settings
from observability.tracing_genai import ModelCall

T = TypeVar("T")
_CLOSE_S = 5.0
_PROVIDER = "local"


class HuggingFaceAdapter:
    """A ``LanguageModel`` and an ``Embedder`` that need no other service.

    The models live in a child process, which the first question starts and which ends when it has been
    idle for long; each model is loaded when it is first asked for. Waiting callers are few on purpose:
    a queue in front of a CPU helps nobody. ``command`` is what to start as the child.
    """

    def __init__(self, config: LocalModelConfig | None = None, command: Sequence[str] = COMMAND) -> None:
        self.config = config or config_from_settings(settings)
        self._process = LocalSupervisor(self.config, command)
        self._fingerprint: str | None = None

    @property
    def pid(self) -> int | None:
        """The process id of the models' process while there is one."""
        return self._process.pid

    async def close(self) -> None:
        """End the models' process; what is under way fails."""
        await asyncio.to_thread(self._process.close, _CLOSE_S)

    def chat_completion(self, messages: Sequence[ChatMessage]) -> str:
        """Return the answer's text; blocks, so never call it on an event loop."""
        events: queue.SimpleQueue[JobEvent] = queue.SimpleQueue()
        call = self._process.ask("language", _generating(messages, SamplingOptions()), events.put)
        deadline = self._deadline("language")
        try:
            while True:
                event = events.get(timeout=max(0.0, deadline - time.monotonic()))
                if isinstance(event, Failed):
                    raise event.error
                if isinstance(event, Answered):
                    return event.text
        except queue.Empty as error:
            raise _too_late() from error
        finally:
            self._process.leave(call)

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
        request_id: str | None = None,
    ) -> AsyncGenerator[TextDelta | Completion, None]:
        """Yield deltas, then one ``Completion``; closing the iterator stops the generation at the next token."""
        call = ModelCall("chat", self.config.model, _PROVIDER)
        call.sampled(options, stream=True)
        with call.lasting():
            async with aclosing(self._events("language", _generating(messages, options, request_id))) as events:
                async for event in events:
                    if isinstance(event, Piece):
                        call.came()
                        yield TextDelta(event.text)
                    elif isinstance(event, Answered):
                        call.answered(event.model, event.finish_reason, event.tokens, {})
                        yield _completion(event)

    async def tell_fingerprint(self) -> str:
        """Return the fingerprint of the local vectors without loading the model."""
        if self._fingerprint is None:
            told = await self._last("embedding", TellFingerprint, Fingerprint)
            self._fingerprint = told.fingerprint
        return self._fingerprint

    async def embed_texts(self, texts: Sequence[str], *, request_id: str | None = None) -> Embeddings:
        """Return one vector a text, in order; raise ``TechnicalError``."""
        call = ModelCall("embeddings", self.config.embedding_model, _PROVIDER)
        with call.lasting():
            made = await self._last("embedding", lambda job_id: Embed(job_id, tuple(texts), request_id), Vectors)
            call.embedded(self.config.embedding_model, self.config.dimension, len(texts))
        if any(len(vector) != self.config.dimension for vector in made.vectors):
            raise TechnicalError(
                f"{self.config.embedding_model} does not give {self.config.dimension} numbers a vector",
                reason="local_unavailable",
            )
        self._fingerprint = made.fingerprint
        return Embeddings(made.vectors, self.config.embedding_model, made.fingerprint, "local")

    async def _last(self, lane: Lane, make: Callable[[int], Job], kind: type[T]) -> T:
        async with aclosing(self._events(lane, make)) as events:
            async for event in events:
                if isinstance(event, kind):
                    return event
        raise TechnicalError("the local model gave no answer", reason="local_failed")

    async def _events(self, lane: Lane, make: Callable[[int], Job]) -> AsyncGenerator[JobEvent, None]:
        """Yield what becomes of a job to its end; raise what it failed with; closing cancels it."""
        loop = asyncio.get_running_loop()
        events: asyncio.Queue[JobEvent] = asyncio.Queue()

        def tell(event: JobEvent) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(events.put_nowait, event)

        deadline = self._deadline(lane)
        call = self._process.ask(lane, make, tell)
        try:
            while True:
                event = await _before(deadline, events.get())
                if isinstance(event, Failed):
                    raise event.error
                yield event
                if isinstance(event, Answered | Vectors | Fingerprint):
                    return
        finally:
            self._process.leave(call)

    def _deadline(self, lane: Lane) -> float:
        """Return until when to wait, in the monotonic clock's time."""
        loading_s = 0.0 if self._process.is_loaded(lane) else self.config.load_timeout_s
        return time.monotonic() + self.config.timeout_s + loading_s


def _generating(
    messages: Sequence[ChatMessage], options: SamplingOptions, request_id: str | None = None
) -> Callable[[int], Generate]:
    return lambda job_id: Generate(job_id, tuple(messages), options, request_id)


def _completion(answer: Answered) -> Completion:
    seconds = answer.total_ms / 1000
    return Completion(
        answer=answer.text,
        model=answer.model,
        served_by="local",
        finish_reason=answer.finish_reason,
        tokens_generated=answer.tokens,
        degraded=answer.substituted,
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
        raise _too_late() from error


def _too_late() -> TechnicalError:
    return TechnicalError("the local model did not answer in time", reason="timeout")
