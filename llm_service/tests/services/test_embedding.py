import asyncio
import hashlib
import random
import tracemalloc

import numpy as np
import pytest

from engines.events import Embedded, RequestEvent
from engines.fake_encoders import DIMENSION, FakeEmbedder
from engines.requests import EmbeddingRequest, InputType, unique_id
from services.admission import Admission
from services.counts import Counts
from services.deadline import Deadline
from services.results import EmbeddingResult
from services.vectors.embedding import Embedding
from services.vectors.embedding_cache import EmbeddingCache, KeptVector, size_of, text_keys
from tests.services.worker_double import WorkerDouble

pytestmark = pytest.mark.anyio
MIB = 1024 * 1024


class Caller:
    """An ``Embedding`` over a worker's double."""

    def __init__(self, max_bytes: int = MIB) -> None:
        self.worker = WorkerDouble(FakeEmbedder())
        self.embedding = Embedding(self.worker, Admission(8, 8), EmbeddingCache(max_bytes), Counts())

    async def embed(self, *texts: str, use_cache: bool = True) -> EmbeddingResult:
        request = EmbeddingRequest(unique_id(None), texts)
        return await self.embedding.run(request, Deadline(None), use_cache=use_cache)


def computed(*texts: str) -> Embedded:
    engine = FakeEmbedder()
    engine.submit(EmbeddingRequest("id", texts))
    events: list[RequestEvent] = []
    while engine.running:
        events += engine.step()
    (event,) = events
    assert isinstance(event, Embedded)
    return event


def check(result: EmbeddingResult, *texts: str) -> None:
    """The result is bit for bit what the engine computes for these texts in this order."""
    expected = computed(*texts)
    assert result.vectors.dtype == np.float32
    assert result.vectors.tobytes() == expected.vectors.tobytes()
    assert (result.tokens, result.truncated) == (expected.tokens, expected.truncated)


async def test_only_texts_that_are_not_known_are_computed_once_and_all_come_in_order() -> None:
    caller = Caller()
    await caller.embed("b", "d", "b")
    texts = ("a", "b", "c", "a", "d", "e " * 300)
    result = await caller.embed(*texts)
    check(result, *texts)
    assert caller.worker.texts_sent == [("b", "d"), ("a", "c", "e " * 300)]
    assert result.truncated == (False, False, False, False, False, True)


async def test_any_mixture_of_known_and_unknown_texts_is_merged_in_order() -> None:
    caller, dice = Caller(), random.Random(1)
    words = [f"palabra {number}" for number in range(40)]
    for _ in range(60):
        texts = dice.choices(words, k=dice.randint(1, 20))
        check(await caller.embed(*texts), *texts)


async def test_vectors_of_two_models_are_never_mixed_when_the_worker_is_replaced_meanwhile() -> None:
    caller = Caller()
    await caller.embed("a")
    caller.worker.gate.clear()
    waiting = asyncio.create_task(caller.embed("a", "b"))
    await asyncio.sleep(0)
    caller.worker.replace_model("other")
    caller.worker.gate.set()
    result = await waiting
    assert result.fingerprint == "other"
    assert caller.worker.texts_sent == [("a",), ("b",), ("a", "b")]
    caller.worker.info = caller.worker.engine.info
    await caller.embed("b")
    assert caller.worker.texts_sent[-1] == ("b",), "what the other model computed was not kept as this one's"


async def test_who_wants_no_cache_neither_reads_nor_fills_it() -> None:
    caller = Caller()
    await caller.embed("a")
    await caller.embed("a", "b", use_cache=False)
    await caller.embed("b")
    assert caller.worker.texts_sent == [("a",), ("a", "b"), ("b",)]


async def test_the_bytes_kept_are_bounded_and_the_longest_unused_goes_first() -> None:
    caller = Caller(max_bytes=2 * size_of(KeptVector(bytes(4 * DIMENSION), 1, truncated=False)))
    for text in ("a", "b", "a", "c", "a", "b"):
        await caller.embed(text)
    assert caller.worker.texts_sent == [("a",), ("b",), ("c",), ("b",)]


def test_the_size_told_is_the_memory_taken() -> None:
    cache, count = EmbeddingCache(10**9), 2000
    row = np.ones(DIMENSION, np.float32)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(count):
            kept = KeptVector(row.tobytes(), 300 + number, truncated=False)
            cache.put(hashlib.sha256(str(number).encode()).digest(), kept)
        taken = (tracemalloc.get_traced_memory()[0] - before) / count
    finally:
        tracemalloc.stop()
    told = size_of(KeptVector(row.tobytes(), 300, truncated=False))
    assert 0.9 * told <= taken <= 1.05 * told


def test_keys_tell_texts_models_and_normalisation_apart() -> None:
    texts = ("", "a", "a ", "A", "\u00e1", "a\u0301", "\ud800", "0a", "1a", "\x00a")
    types: tuple[InputType | None, ...] = (None, "query", "document")
    keys = [
        key
        for fingerprint in ("f", "f0", "")
        for normalize in (True, False)
        for input_type in types
        for key in text_keys(EmbeddingRequest("id", texts, normalize, input_type), fingerprint)
    ]
    assert len(set(keys)) == len(keys)
    assert text_keys(EmbeddingRequest("other", ("a", "a")), "f") == [keys[1]] * 2
