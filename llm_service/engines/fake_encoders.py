"""Deterministic encoders without weights; ``engines.fake`` has the instructions that texts may hold."""

import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic

import numpy as np

from engines.base import (
    Embedded,
    EmbeddingRequest,
    EngineInfo,
    Failed,
    FloatMatrix,
    InputType,
    LastEvent,
    Ranked,
    RankingRequest,
    Request,
    RequestEvent,
)
from engines.encoders.queue import R
from engines.errors import GenerationFailed
from engines.fake import FINGERPRINT, instructions_in, obey

LONGEST_TEXT = 256
"""Words that are read of a text."""
DIMENSION = 384
SEARCH_FINGERPRINT = f"{FINGERPRINT}-search"


class _FakeEncoder(ABC, Generic[R]):
    """Answers one request a step."""

    def __init__(self, *, step_delay_s: float = 0.0, dimension: int | None = None) -> None:
        self._step_delay_s = step_delay_s
        self._requests: dict[str, R] = {}
        self.batch_size = 0
        self.info = EngineInfo(
            backend="fake",
            model="fake",
            requested_model="fake",
            artifact="none",
            device="cpu",
            context_length=LONGEST_TEXT,
            fingerprint=FINGERPRINT,
            search_fingerprint=SEARCH_FINGERPRINT if dimension else None,
            dimension=dimension,
        )

    kind: type[R]
    """Requests that it takes."""

    @abstractmethod
    def texts(self, request: R) -> tuple[str, ...]:
        """Return the texts that the request asks about."""

    @abstractmethod
    def answer(self, request: R, tokens: tuple[int, ...], truncated: tuple[bool, ...]) -> LastEvent:
        """Return the answer."""

    def warm_up(self) -> None:
        """Nothing to warm up."""

    def submit(self, request: Request) -> None:
        """Queue a request."""
        assert isinstance(request, self.kind)
        self._requests[request.id] = request

    def cancel(self, request_id: str) -> None:
        """Drop a request."""
        self._requests.pop(request_id, None)

    def step(self) -> Sequence[RequestEvent]:
        """Answer the oldest request."""
        time.sleep(self._step_delay_s)
        if not self._requests:
            self.batch_size = 0
            return []
        request = next(iter(self._requests.values()))
        texts = self.texts(request)
        self.batch_size = len(texts)
        instructions = instructions_in(" ".join(texts))
        obey(instructions)
        del self._requests[request.id]
        if "fail" in instructions:
            return [Failed(request.id, GenerationFailed("the fake engine fails on request"))]
        counts = [len(text.split()) for text in texts]
        tokens = tuple(min(count, LONGEST_TEXT) for count in counts)
        return [self.answer(request, tokens, tuple(count > LONGEST_TEXT for count in counts))]

    @property
    def running(self) -> int:
        """Requests not answered."""
        return len(self._requests)

    @property
    def kv_cache_usage(self) -> None:
        """There is none."""
        return

    def close(self) -> None:
        """Drop everything."""
        self._requests.clear()


class FakeEmbedder(_FakeEncoder[EmbeddingRequest]):
    """Unit vectors drawn from each text's hash, and its input type's."""

    kind = EmbeddingRequest

    def __init__(self, *, step_delay_s: float = 0.0) -> None:
        super().__init__(step_delay_s=step_delay_s, dimension=DIMENSION)

    def texts(self, request: EmbeddingRequest) -> tuple[str, ...]:
        """Return the texts."""
        return request.texts

    def answer(self, request: EmbeddingRequest, tokens: tuple[int, ...], truncated: tuple[bool, ...]) -> Embedded:
        """Return the vectors."""
        vectors = [_vector(text, request.input_type, normalize=request.normalize) for text in request.texts]
        return Embedded(request.id, np.stack(vectors), tokens, truncated)


class FakeReranker(_FakeEncoder[RankingRequest]):
    """The share of the query's words that a document holds."""

    kind = RankingRequest

    def texts(self, request: RankingRequest) -> tuple[str, ...]:
        """Return the documents."""
        return request.documents

    def answer(self, request: RankingRequest, tokens: tuple[int, ...], truncated: tuple[bool, ...]) -> Ranked:
        """Return the scores."""
        wanted = set(request.query.lower().split())
        shares = [len(wanted & set(text.lower().split())) / max(1, len(wanted)) for text in request.documents]
        return Ranked(request.id, np.array(shares, dtype=np.float32), tokens, truncated)


def _vector(text: str, input_type: InputType | None, *, normalize: bool) -> FloatMatrix:
    seed = int.from_bytes(hashlib.sha256(f"{input_type or ''}{text}".encode()).digest()[:8], "big")
    vector: FloatMatrix = np.random.default_rng(seed).standard_normal(DIMENSION).astype(np.float32)
    return vector / np.float32(np.linalg.norm(vector)) if normalize else vector
