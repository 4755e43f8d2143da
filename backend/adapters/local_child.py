"""The process of the local models: does jobs until its parent goes.

Started by ``local_process`` as ``python -m adapters.local_child``. The configuration and then commands
come in on standard input, events leave on what was standard output; everything else that is printed
goes to standard error, so that no library can disturb the protocol.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from adapters.local_config import LocalModelConfig
from adapters.local_messages import Alive, Event
from adapters.local_pipe import FrameWriter, read_frames
from adapters.local_worker import Encoder, Generator, Models, Worker

ALIVE_EVERY_S = 1.0


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
    # Progress bars are no log lines.
    os.environ.setdefault("TQDM_DISABLE", "1")
    # Torch's threads would otherwise spin while they wait, and take the processor from each other when all
    # cores are busy: 24 tokens in 3.6 s instead of more than 40.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

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

    secrets = [config.hub_token] if config.hub_token else []
    configure_logging(config.log_level, config.log_format, process="local_models", secrets=secrets)


if __name__ == "__main__":
    serve(RealModels())
