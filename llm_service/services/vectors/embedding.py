"""Embeddings, with a cache of vectors."""

import dataclasses

import numpy as np

from engines.errors import GenerationFailed
from engines.events import Embedded
from engines.requests import EmbeddingRequest
from services.admission import Admission
from services.counts import Counts
from services.deadline import Deadline
from services.exchanges import Exchanges
from services.results import EmbeddingResult
from services.vectors.embedding_cache import EmbeddingCache, KeptVector, text_keys
from workers.worker import Worker


class Embedding:
    """Runs embedding requests, sending only texts that are not in ``cache``, if any, to the embedder."""

    def __init__(self, worker: Worker, admission: Admission, cache: EmbeddingCache | None, counts: Counts) -> None:
        self._counts = counts
        self._exchanges = Exchanges(worker, admission)
        self._cache = cache

    async def run(self, request: EmbeddingRequest, deadline: Deadline, *, use_cache: bool) -> EmbeddingResult:
        """Embed texts, in order; raises a ``ServiceError``."""
        fingerprint = self._fingerprint(request)
        if self._cache is None or not use_cache or fingerprint is None:
            return self._result(request, await self._compute(request, deadline))
        return await self._run_cached(request, deadline, self._cache, fingerprint)

    async def _run_cached(
        self, request: EmbeddingRequest, deadline: Deadline, cache: EmbeddingCache, fingerprint: str
    ) -> EmbeddingResult:
        keys = text_keys(request, fingerprint)
        known = {key: kept for key in keys if (kept := cache.get(key)) is not None}
        missing = {key: text for key, text in zip(keys, request.texts, strict=True) if key not in known}
        self._counts.hits["embedding"] += len(known)
        self._counts.misses["embedding"] += len(missing)
        if missing:
            event = await self._compute(dataclasses.replace(request, texts=tuple(missing.values())), deadline)
            if self._fingerprint(request) != fingerprint:
                # The worker was replaced by one with another model: cached vectors do not match its own.
                return self._result(request, await self._compute(request, deadline))
            for key, fresh in zip(missing, _kept_vectors(event), strict=True):
                cache.put(key, fresh)
                known[key] = fresh
        return self._result(request, _merge(request.id, [known[key] for key in keys]))

    def _fingerprint(self, request: EmbeddingRequest) -> str | None:
        info = self._exchanges.info
        if info is None:
            return None
        return info.fingerprint if request.input_type is None else info.search_fingerprint

    async def _compute(self, request: EmbeddingRequest, deadline: Deadline) -> Embedded:
        event = await self._exchanges.ask(request, deadline)
        if not isinstance(event, Embedded):
            raise GenerationFailed("the engine gave no vectors")
        self._counts.embedded_texts += len(request.texts)
        return event

    def _result(self, request: EmbeddingRequest, event: Embedded) -> EmbeddingResult:
        info = self._exchanges.info
        assert info is not None
        fingerprint = self._fingerprint(request) or ""
        return EmbeddingResult(info.model, event.tokens, event.truncated, event.vectors, fingerprint)


def _kept_vectors(event: Embedded) -> list[KeptVector]:
    # Copies: a view of one row would keep the matrix of the whole request in memory.
    return [
        KeptVector(vector.tobytes(), tokens, truncated)
        for vector, tokens, truncated in zip(event.vectors, event.tokens, event.truncated, strict=True)
    ]


def _merge(request_id: str, vectors: list[KeptVector]) -> Embedded:
    joined = bytearray().join(kept.vector for kept in vectors)
    return Embedded(
        request_id=request_id,
        vectors=np.frombuffer(joined, np.float32).reshape(len(vectors), -1),
        tokens=tuple(kept.tokens for kept in vectors),
        truncated=tuple(kept.truncated for kept in vectors),
    )
