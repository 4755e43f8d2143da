"""The process of the local models: loads each when it is first needed and does jobs until its parent goes.

Started by ``local_process`` as ``python -m adapters.local_child``. The configuration and then commands
come in on standard input, events leave on what was standard output; everything else that is printed
goes to standard error, so that no library can disturb the protocol.
"""

import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, Generic, Protocol, TypeVar

from adapters.base import AdapterError, ChatMessage, SamplingOptions, TechnicalError
from adapters.local_config import LocalModelConfig
from adapters.local_messages import (
    Alive,
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
from adapters.local_pipe import FrameWriter, read_frames

ALIVE_EVERY_S = 1.0
M = TypeVar("M")
logger = logging.getLogger("local_child")


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


class RealModels:
    """The models on this machine."""

    def generator(self, config: LocalModelConfig) -> Generator:
        """Load ``LLM_MODEL``, or what stands in for it."""
        from adapters.local_models import resolve_language_model

        files = resolve_language_model(config)  # before the model libraries: quick to say no
        from adapters.local_engine import LocalGenerator

        return LocalGenerator(files, config)

    def encoder(self, config: LocalModelConfig) -> Encoder:
        """Load ``EMBEDDING_MODEL``."""
        from adapters.local_models import resolve_embedding_model

        folder = resolve_embedding_model(config)
        from adapters.local_engine import LocalEncoder

        return LocalEncoder(folder, config)

    def fingerprint(self, config: LocalModelConfig) -> str:
        """Read the embedding model's files."""
        from adapters.local_models import embedding_fingerprint, resolve_embedding_model

        return embedding_fingerprint(resolve_embedding_model(config))


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
            try:
                event = self._do(job, stop)
            except AdapterError as error:
                event = Failed.from_error(job.id, error)
            except Exception as error:
                # The edge of a job: what breaks one, memory running out included, must not end the others.
                logger.exception("local model failed")
                event = Failed(job.id, f"local model: {error}")
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


def serve(models: Models) -> None:
    """Do what the parent says until it is gone; never returns."""
    # Ctrl-C reaches the whole terminal; the parent decides when this process leaves.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    events = FrameWriter(_take_over_stdout())
    if hasattr(os, "nice"):
        os.nice(5)  # the parent answers health checks meanwhile; on Windows it set the priority itself
    frames: Iterator[Any] = read_frames(sys.stdin.buffer)
    config: LocalModelConfig | None = next(frames, None)
    if config is None:
        os._exit(0)
    _configure_logging(config)

    def send(event: Event) -> None:
        try:
            events.send(event)
        except (OSError, ValueError):
            os._exit(0)  # the parent is gone

    threading.Thread(target=_tell_alive, args=(send,), name="alive", daemon=True).start()
    worker = Worker(config, models, send)
    for command in frames:
        worker.obey(command)
    # The parent closed the pipe or died. What is under way may be native code that cannot be
    # interrupted and that nobody waits for: leave without it.
    os._exit(0)


def _tell_alive(send: Callable[[Event], None]) -> None:
    while True:
        send(Alive())
        time.sleep(ALIVE_EVERY_S)


def _take_over_stdout() -> BinaryIO:
    """Keep standard output for events and let everybody else's prints go to standard error."""
    sys.stdout.flush()
    private = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return os.fdopen(private, "wb")


def _configure_logging(config: LocalModelConfig) -> None:
    from config.logs import configure_logging

    configure_logging(config.log_level, config.log_format)
    logging.captureWarnings(capture=True)


if __name__ == "__main__":
    serve(RealModels())
