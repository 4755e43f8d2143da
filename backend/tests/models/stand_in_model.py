"""The process of a local model with models that need no weights and misbehave on demand.

A question is a word: ``slow`` gives a word every 20 ms for ever, ``crash`` ends the process, ``hang`` blocks the
process, ``late`` breaks after the first word; anything else is repeated. The configured model's name says how it
loads: ``slow``, ``crashes``, ``fails``, or at once. Loads and the ends of generations are lines in the file
``log`` of the folder ``hub_cache``.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from adapters.local.child import main
from adapters.local.config import Kind, LocalModelConfig
from adapters.local.model import Embedder, Finished, Generator, too_long
from adapters.ports.models import ChatMessage, SamplingOptions, TechnicalError


class StandInGenerator:
    name = "stand-in"
    substituted = True
    slots = 1

    def __init__(self, log: Path) -> None:
        self._log = log

    async def generate(
        self, messages: Sequence[ChatMessage], options: SamplingOptions
    ) -> AsyncIterator[str | Finished]:
        question = messages[-1]["content"]
        if question == "crash":
            os._exit(13)
        if question == "long":
            raise too_long(9, 8)
        if question == "hang":
            yield "before "
            time.sleep(3600)  # noqa: ASYNC251 - blocks the loop, as native code that holds the GIL does
        try:
            while question == "slow":
                yield "word "
                await asyncio.sleep(0.02)
        finally:
            if question == "slow":
                note(self._log, "end-of-slow")
        yield question
        if question == "late":
            raise ValueError("secret words of a question")
        yield Finished("stop", 1, 1)


class StandInEmbedder:
    name = fingerprint = "stand-in"

    def encode(self, texts: Sequence[str]) -> list[list[float]]:
        return [[1.0, 0.0, 0.0] for _ in texts]


def load(kind: Kind, config: LocalModelConfig) -> Generator | Embedder:
    log = Path(str(config.hub_cache), "log")
    note(log, kind)
    if kind == "embedder":
        return StandInEmbedder()
    if config.model == "crashes":
        os._exit(13)
    if config.model == "fails":
        raise TechnicalError("its files are gone", reason="local_unavailable")
    if config.model == "slow":
        time.sleep(1.5)
    print("a library says something")
    return StandInGenerator(log)


def note(log: Path, what: str) -> None:
    with log.open("a", encoding="utf-8") as file:
        file.write(f"{what}\n")


if __name__ == "__main__":
    main(load)
