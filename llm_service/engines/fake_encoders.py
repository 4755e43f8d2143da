"""Deterministic encoders without weights; ``engines.fake`` has the instructions that texts may hold."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from engines.encoders.engine import Embedder, Reranker
from engines.encoders.queue import Encoding
from engines.events import FloatMatrix
from engines.fake import FINGERPRINT, INFO, instructions_in, obey

LONGEST_TEXT = 256
"""Words that are read of a text."""
DIMENSION = 384
SEARCH_FINGERPRINT = f"{FINGERPRINT}-search"


class FakeEmbedder(Embedder):
    """Vectors drawn from each text's hash, and its input type's."""

    def __init__(self) -> None:
        info = replace(INFO, context_length=LONGEST_TEXT, search_fingerprint=SEARCH_FINGERPRINT, dimension=DIMENSION)
        super().__init__(info, {None: "", "query": "query: ", "document": "document: "})

    def tokenize(self, pairs: list[tuple[str, str]]) -> list[Encoding]:
        """Return a token for each word."""
        return [Encoding.counted(pair, range(len("".join(pair).split())), LONGEST_TEXT) for pair in pairs]

    def compute(self, batches: Sequence[Sequence[Encoding]]) -> list[FloatMatrix]:
        """Draw the vectors."""
        _obey(batches)
        return [np.stack([_vector("".join(item.content)) for item in batch]) for batch in batches]


class FakeReranker(Reranker):
    """The share of the query's words that a document holds."""

    def __init__(self) -> None:
        super().__init__(replace(INFO, context_length=LONGEST_TEXT), "identity")

    def tokenize(self, pairs: list[tuple[str, str]]) -> list[Encoding]:
        """Return a token for each word of a document."""
        return [Encoding.counted(pair, range(len(pair[1].split())), LONGEST_TEXT) for pair in pairs]

    def compute(self, batches: Sequence[Sequence[Encoding]]) -> list[FloatMatrix]:
        """Compare the words."""
        _obey(batches)
        return [np.array([[_share(*item.content)] for item in batch], dtype=np.float32) for batch in batches]


def _obey(batches: Sequence[Sequence[Encoding]]) -> None:
    instructions = instructions_in(" ".join(item.content[1] for batch in batches for item in batch))
    obey(instructions)
    if "fail" in instructions:
        raise ValueError("the fake engine fails on request")


def _vector(text: str) -> FloatMatrix:
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    return np.random.default_rng(seed).standard_normal(DIMENSION).astype(np.float32)


def _share(query: str, document: str) -> float:
    wanted = set(query.lower().split())
    return len(wanted & set(document.lower().split())) / max(1, len(wanted))
