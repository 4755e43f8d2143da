"""The process of the local models with models that need no weights and misbehave as told.

A question is words: ``slow`` says a word every 20 ms until it is stopped, ``crash`` ends the process,
``hang`` never returns, ``noise`` prints to standard output; anything else is repeated. The configured
model's name says how loading goes: ``crashes``, ``fails`` or anything else. Each load is a line in
``loads`` in the folder ``unpacked_cache``.
"""

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from adapters.base import ChatMessage, LogicalError, SamplingOptions, TechnicalError
from adapters.local_child import serve
from adapters.local_config import LocalModelConfig
from adapters.local_worker import Encoder, Generator

FINGERPRINT = "stand-in"


@dataclass
class Answer:
    text: str
    tokens: int
    finish_reason: str = "stop"
    total_ms: float = 1.0


class StandInGenerator:
    name = "stand-in"
    substituted = False

    def generate(
        self,
        messages: Sequence[ChatMessage],
        options: SamplingOptions,
        on_text: Callable[[str], None],
        stop: threading.Event,
    ) -> Answer:
        question = messages[-1]["content"]
        if question == "crash":
            os._exit(13)
        if question == "hang":
            on_text("before ")
            threading.Event().wait()
        if question == "too long":
            raise LogicalError("9 tokens, 8 fit", status=400, error_type="context_length_exceeded")
        if question == "noise":
            os.write(1, b"a library says something\n")
        while question == "slow" and not stop.is_set():
            on_text("word ")
            time.sleep(0.02)
        on_text(question)
        return Answer(question, len(question.split()), "cancelled" if stop.is_set() else "stop")


class StandInEncoder:
    def encode(self, texts: Sequence[str]) -> list[list[float]]:
        return [[1.0, 0.0, 0.0] for _ in texts]


class StandIns:
    def generator(self, config: LocalModelConfig) -> Generator:
        note(config, "language")
        if config.model == "crashes":
            os._exit(13)
        if config.model == "fails":
            raise TechnicalError("its files are gone", reason="local_unavailable")
        time.sleep(0.1)
        return StandInGenerator()

    def encoder(self, config: LocalModelConfig) -> Encoder:
        note(config, "embedding")
        return StandInEncoder()

    def fingerprint(self, config: LocalModelConfig) -> str:
        return FINGERPRINT


def note(config: LocalModelConfig, what: str) -> None:
    assert config.unpacked_cache is not None
    with (config.unpacked_cache / "loads").open("a", encoding="utf-8") as file:
        file.write(f"{what}\n")


if __name__ == "__main__":
    serve(StandIns())
