"""Cache of deterministic answers."""

import contextlib
import dataclasses
import hashlib
import sys

from cachetools import TTLCache

from engines.base import EngineInfo
from engines.requests import GenerationRequest
from services.results import GenerationResult

FIXED_BYTES = 700
"""Overhead of a cached answer in bytes: result, timings, numbers, key and cache entry; measured, and
checked by tests/services/test_response_cache.py.
"""
CALL_BYTES, TOKEN_BYTES = 250, 250
"""Upper bounds for a call without its text, and for a token with its log probability."""


def is_deterministic(request: GenerationRequest) -> bool:
    """Return whether repeating the request gives the same answer: greedy or seeded decoding."""
    return request.sampling.greedy or request.sampling.seed is not None


def response_key(request: GenerationRequest, generator: EngineInfo) -> bytes:
    """Return the cache key of a request on a generator: the SHA-256 of an unambiguous rendering.

    The ``repr`` of a dataclass names, quotes and escapes every field, including future ones, so different
    requests never render alike. Excludes the id, whether the answer is streamed, and the trace context.
    """
    asked = dataclasses.replace(request, id="", stream=False, trace_headers={})
    return hashlib.sha256(repr((generator, asked)).encode()).digest()


class ResponseCache(TTLCache[bytes, GenerationResult]):
    """LRU cache of answers, limited to ``max_bytes`` and to an age of ``ttl_s`` seconds."""

    def __init__(self, max_bytes: int, ttl_s: float) -> None:
        super().__init__(max_bytes, ttl_s, getsizeof=size_of)

    def put(self, key: bytes, answer: GenerationResult) -> None:
        """Cache an answer, unless it alone exceeds the limit."""
        with contextlib.suppress(ValueError):
            self[key] = answer


def size_of(answer: GenerationResult) -> int:
    """Return the memory that a cached answer uses, in bytes."""
    return FIXED_BYTES + sys.getsizeof(answer.answer) + sys.getsizeof(answer.reasoning) + _size_of_parts(answer)


def _size_of_parts(answer: GenerationResult) -> int:
    calls = sum(CALL_BYTES + sys.getsizeof(call.name) + sys.getsizeof(call.arguments) for call in answer.tool_calls)
    return calls + sum(TOKEN_BYTES * (1 + len(each.top)) for each in answer.logprobs)
