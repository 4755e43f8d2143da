"""Texts to vectors: what is known is not computed again."""

import contextlib

import numpy as np

from engines.base import Embedded, EmbeddingRequest
from engines.request_ids import unique_id
from services.admission import Admission
from services.deadline import Deadline
from services.embedding_cache import EmbeddingCache, KeptVector, text_keys
from services.errors import GenerationFailed
from services.events import CacheAsked, Events, TextsEmbedded
from services.results import EmbeddingResult
from services.workers import Worker, follow


class Embedding:
    """Runs requests on the embedder, with only those texts that ``cache`` does not know; without a
    cache, with all.
    """

    def __init__(self, worker: Worker, admission: Admission, cache: EmbeddingCache | None, events: Events) -> None:
        self._events = events
        self._worker = worker
        self._admission = admission
        self._cache = cache

    async def run(
        self, texts: tuple[str, ...], deadline: Deadline, *, normalize: bool, request_id: str | None, use_cache: bool
    ) -> EmbeddingResult:
        """Embed texts, in order; raises a ``ServiceError``."""
        request = EmbeddingRequest(unique_id(request_id), texts, normalize)
        if self._cache is None or not use_cache or self._fingerprint is None:
            return self._result(await self._compute(request, deadline))
        return await self._run_cached(request, deadline, self._cache, self._fingerprint)

    async def _run_cached(
        self, request: EmbeddingRequest, deadline: Deadline, cache: EmbeddingCache, fingerprint: str
    ) -> EmbeddingResult:
        keys = text_keys(request.texts, fingerprint, normalize=request.normalize)
        known: dict[bytes, KeptVector] = {}
        missing: dict[bytes, str] = {}
        for key, text in zip(keys, request.texts, strict=True):
            if key in known or key in missing:
                continue
            kept = cache.get(key)
            if kept is None:
                missing[key] = text
            else:
                known[key] = kept
        self._events.tell(CacheAsked("embedding", hits=len(known), misses=len(missing)))
        if missing:
            part = EmbeddingRequest(request.id, tuple(missing.values()), request.normalize)
            event = await self._compute(part, deadline)
            if self._fingerprint != fingerprint:
                # The worker was replaced by one with another model: what is kept does not fit its vectors.
                complete = len(missing) == len(keys)
                return self._result(event if complete else await self._compute(request, deadline))
            fresh = dict(zip(missing, _kept_vectors(event), strict=True))
            for key, kept in fresh.items():
                cache.put(key, kept)
            if len(missing) == len(keys):
                return self._result(event)
            known |= fresh
        return self._result(_merge(request.id, [known[key] for key in keys]))

    @property
    def _fingerprint(self) -> str | None:
        return self._worker.info.fingerprint if self._worker.info else None

    async def _compute(self, request: EmbeddingRequest, deadline: Deadline) -> Embedded:
        async with contextlib.AsyncExitStack() as stack:
            await deadline.wait(stack.enter_async_context(self._admission.place()))
            events = await stack.enter_async_context(contextlib.aclosing(follow(self._worker, request, deadline)))
            async for event in events:
                if isinstance(event, Embedded):
                    self._events.tell(TextsEmbedded(len(request.texts)))
                    return event
        raise GenerationFailed("the engine gave no vectors")

    def _result(self, event: Embedded) -> EmbeddingResult:
        info = self._worker.info
        assert info is not None
        return EmbeddingResult(event.vectors, info.model, info.fingerprint or "", event.tokens, event.truncated)


def _kept_vectors(event: Embedded) -> list[KeptVector]:
    # Bytes of their own: a view of one row would keep the whole request's matrix in memory.
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
