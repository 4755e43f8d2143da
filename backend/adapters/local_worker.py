"""Does the jobs of the local models: one thread a model, each model loaded when it is first needed."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from adapters.base import AdapterError, ChatMessage, SamplingOptions, TechnicalError
from adapters.local_config import LocalModelConfig
from adapters.local_messages import (
    Answered,
    Cancel,
    Command,
    Embed,
    Event,
    Failed,
    Fingerprint,
    Generate,
    Job,
    Lane,
    Loaded,
    Piece,
    Started,
    TellFingerprint,
    Vectors,
)
from config.logs import about_request

M = TypeVar("M")
logger = logging.getLogger(__name__)


class Answer(Protocol):
    """What one generation gave."""

    text: str
    tokens: int
    finish_reason: str
    total_ms: float


class Generator(Protocol):
    """A loaded language model; ``substituted`` when it stands in for the configured one."""

    name: str
    substituted: bool

    def generate(
        self,
        messages: Sequence[ChatMessage],
        options: SamplingOptions,
        on_text: Callable[[str], None],
        stop: threading.Event,
    ) -> Any:
        """Return an ``Answer``; hand over each piece meanwhile; end soon after ``stop`` is set."""
        ...


class Encoder(Protocol):
    """A loaded embedding model."""

    def encode(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one unit vector a text."""
        ...


class Models(Protocol):
    """Where the models come from; each method blocks, and raises ``AdapterError`` when it cannot."""

    def generator(self, config: LocalModelConfig) -> Generator:
        """Load the language model."""
        ...

    def encoder(self, config: LocalModelConfig) -> Encoder:
        """Load the embedding model."""
        ...

    def fingerprint(self, config: LocalModelConfig) -> str:
        """Say what the embedding model's vectors compare with."""
        ...


class OnceLoaded(Generic[M]):
    """Something loaded on first need and kept; a failure is kept too, for a while.

    Used from one thread only: whoever comes while it loads waits in that thread's queue.
    """

    def __init__(self, load: Callable[[], M], on_loaded: Callable[[], None], retry_after_s: float) -> None:
        self._load = load
        self._on_loaded = on_loaded
        self._retry_after_s = retry_after_s
        self._value: M | None = None
        self._fault: TechnicalError | None = None
        self._failed_at = 0.0

    def get(self) -> M:
        """Return it, loading it if need be; raise ``TechnicalError`` with reason ``local_unavailable``."""
        if self._value is None:
            if self._fault is not None and time.monotonic() - self._failed_at < self._retry_after_s:
                raise TechnicalError(str(self._fault), reason=self._fault.reason)
            try:
                self._value = self._load()
            except Exception as error:
                logger.warning(
                    "local model could not be loaded: %s", error, exc_info=not isinstance(error, AdapterError)
                )
                self._fault = TechnicalError(f"local model: {error}", reason="local_unavailable")
                self._failed_at = time.monotonic()
                raise self._fault from error
            self._on_loaded()
        return self._value


class Worker:
    """Does jobs: one thread a model."""

    def __init__(self, config: LocalModelConfig, models: Models, send: Callable[[Event], None]) -> None:
        self._send = send
        self._stops: dict[int, threading.Event] = {}
        self._lanes: dict[Lane, queue.SimpleQueue[Job]] = {}
        wait_s = config.reload_after_s
        self._generator = OnceLoaded(lambda: models.generator(config), lambda: send(Loaded("language")), wait_s)
        self._encoder = OnceLoaded(lambda: models.encoder(config), lambda: send(Loaded("embedding")), wait_s)
        self._fingerprint = OnceLoaded(lambda: models.fingerprint(config), lambda: None, wait_s)

    def obey(self, command: Command) -> None:
        """Queue a job or stop one; never waits."""
        if isinstance(command, Cancel):
            if (stop := self._stops.get(command.id)) is not None:
                stop.set()
            return
        self._stops[command.id] = threading.Event()
        lane: Lane = "language" if isinstance(command, Generate) else "embedding"
        if lane not in self._lanes:
            self._lanes[lane] = queue.SimpleQueue()
            threading.Thread(target=self._run, args=(self._lanes[lane],), name=lane, daemon=True).start()
        self._lanes[lane].put(command)

    def _run(self, jobs: "queue.SimpleQueue[Job]") -> None:
        while True:
            job = jobs.get()
            stop = self._stops[job.id]
            with about_request(None if isinstance(job, TellFingerprint) else job.request_id):
                try:
                    event = self._do(job, stop)
                except AdapterError as error:
                    event = Failed.from_error(job.id, error)
                except Exception as error:
                    # The edge of a job: what breaks one, memory running out included, must not end the others.
                    logger.exception("local model failed")
                    # What the error says may quote the question.
                    event = Failed(job.id, f"local model: {type(error).__name__}")
            self._send(event)
            del self._stops[job.id]

    def _do(self, job: Job, stop: threading.Event) -> Event:
        if stop.is_set():
            return Failed(job.id, "cancelled")
        if isinstance(job, TellFingerprint):
            return Fingerprint(job.id, self._fingerprint.get())
        if isinstance(job, Embed):
            encoder = self._encoder.get()
            self._send(Started(job.id))
            return Vectors(job.id, encoder.encode(job.texts), self._fingerprint.get())
        generator = self._generator.get()
        if stop.is_set():
            return Failed(job.id, "cancelled")
        self._send(Started(job.id))
        answer: Answer = generator.generate(
            job.messages, job.options, lambda text: self._send(Piece(job.id, text)), stop
        )
        return Answered(
            job.id,
            answer.text,
            answer.tokens,
            answer.finish_reason,
            answer.total_ms,
            generator.name,
            generator.substituted,
        )
