"""Answers that would come out the same again, kept for a while."""

import dataclasses
import hashlib
import sys

from cachetools import TTLCache

from engines.base import EngineInfo, GenerationRequest
from services.results import GenerationResult

FIXED_BYTES = 700
"""What a kept answer takes beside its text: the result, its timings and numbers, the key, the cache's
own entries; measured (tests/services/test_response_cache.py holds it to that).
"""


def is_deterministic(request: GenerationRequest) -> bool:
    """Whether the same request gives the same answer again: decoded greedily, or with a seed."""
    sampling = request.sampling
    return sampling.temperature == 0 or sampling.top_p == 0 or sampling.seed is not None


def response_key(request: GenerationRequest, generator: EngineInfo) -> bytes:
    """Return what stands for this request on this generator: the sha256 of an unambiguous rendering.

    The ``repr`` of a dataclass names, quotes and escapes every field, those added later included, so
    no two requests render alike. Left out are the id, whether the answer is streamed and who traces it.
    """
    asked = dataclasses.replace(request, id="", stream=False, trace_headers={})
    return hashlib.sha256(repr((generator, asked)).encode()).digest()


class ResponseCache:
    """Answers by key, at most ``max_bytes`` of them and none older than ``ttl_s`` seconds; when it is
    full, those go that have not been asked for longest.
    """

    def __init__(self, max_bytes: int, ttl_s: float) -> None:
        self._answers: TTLCache[bytes, GenerationResult] = TTLCache(max_bytes, ttl_s, getsizeof=size_of)

    @property
    def used_bytes(self) -> int:
        """What is kept now takes so much."""
        return int(self._answers.currsize)

    def get(self, key: bytes) -> GenerationResult | None:
        """Return the answer kept under this key."""
        return self._answers.get(key)

    def put(self, key: bytes, answer: GenerationResult) -> None:
        """Keep an answer, unless it alone is too large."""
        if size_of(answer) <= self._answers.maxsize:
            self._answers[key] = answer


def size_of(answer: GenerationResult) -> int:
    """Return the bytes that keeping this answer takes."""
    return FIXED_BYTES + sys.getsizeof(answer.answer) + sys.getsizeof(answer.reasoning)
