"""Nearest neighbours with numpy alone, over vectors of each type; how many of the true ones are found."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Int8s = npt.NDArray[np.int8]
Bytes = npt.NDArray[np.uint8]
Ids = npt.NDArray[np.int64]
Search = Callable[[int], Ids]
"""From a query's number to the ids of its nearest documents."""
ROWS_AT_ONCE = 2048
"""Rows of int8 that are widened together: they stay in the processor's cache."""


@dataclass(frozen=True)
class Found:
    """What a search found: recall is the share of the exact ``top``; time in milliseconds a query."""

    recall: float
    p50_ms: float


def float_search(queries: Floats, documents: Floats, top: int) -> Search:
    """Exact search: dot products of unit vectors."""
    return lambda number: _best(documents @ queries[number], top)


def int8_search(queries: Floats, codes: Int8s, scales: Floats, top: int) -> Search:
    """Search int8 codes with a float32 query; the codes are widened block by block."""

    def search(number: int) -> Ids:
        query = queries[number]
        blocks = [codes[at : at + ROWS_AT_ONCE].astype(np.float32) @ query for at in range(0, len(codes), ROWS_AT_ONCE)]
        return _best(np.concatenate(blocks) * scales, top)

    return search


def code_search(query_codes: Int8s, codes: Int8s, top: int) -> Search:
    """Search by the cosine of the codes alone, without any scale, as a store for int8 does. The codes
    are widened once and for all: numpy has no fast product of int8.
    """
    queries, documents = query_codes.astype(np.float32), codes.astype(np.float32)
    documents /= np.linalg.norm(documents, axis=1, keepdims=True)
    return lambda number: _best(documents @ queries[number], top)


def bit_search(query_bits: Bytes, bits: Bytes, top: int) -> Search:
    """Search by the Hamming distance of packed bits."""
    queries, documents = _words(query_bits), _words(bits)
    return lambda number: _best(-_hamming(documents, queries[number]), top)


def rescored_search(coarse: Search, queries: Floats, documents: Floats, top: int) -> Search:
    """Keep the best of what ``coarse`` finds, by float32."""

    def search(number: int) -> Ids:
        candidates = coarse(number)
        return candidates[_best(documents[candidates] @ queries[number], top)]

    return search


def rescored_with_codes(coarse: Search, queries: Floats, codes: Int8s, scales: Floats, top: int) -> Search:
    """Keep the best of what ``coarse`` finds, by int8 codes: no float32 vector has to be stored."""

    def search(number: int) -> Ids:
        candidates = coarse(number)
        scores = (codes[candidates].astype(np.float32) @ queries[number]) * scales[candidates]
        return candidates[_best(scores, top)]

    return search


def measure(search: Search, expected: Sequence[Ids]) -> Found:
    """Search for every query once; ``expected`` holds the exact results."""
    times, shares = [], []
    for number, right in enumerate(expected):
        started = time.perf_counter()
        found = search(number)
        times.append(time.perf_counter() - started)
        shares.append(len(set(found.tolist()) & set(right.tolist())) / len(right))
    return Found(float(np.mean(shares)), 1000 * float(np.median(times)))


def _best(scores: npt.NDArray[np.floating] | npt.NDArray[np.integer], top: int) -> Ids:
    if top >= len(scores):
        return np.arange(len(scores))
    return np.argpartition(scores, len(scores) - top)[len(scores) - top :]


def _hamming(documents: npt.NDArray[np.uint64], query: npt.NDArray[np.uint64]) -> npt.NDArray[np.int32]:
    distances: npt.NDArray[np.int32] = np.bitwise_count(documents ^ query).sum(axis=1, dtype=np.int32)
    return distances


def _words(bits: Bytes) -> npt.NDArray[np.uint64]:
    """Return rows of bytes as rows of 64-bit words, filled up with zeros."""
    missing = -bits.shape[1] % 8
    return np.ascontiguousarray(np.pad(bits, ((0, 0), (0, missing)))).view(np.uint64)
