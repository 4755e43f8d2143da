"""Cache of embedding vectors."""

import contextlib
import hashlib
from typing import NamedTuple

from cachetools import LRUCache

from engines.requests import EmbeddingRequest

FIXED_BYTES = 600
"""Overhead of a cached vector in bytes: objects, key and cache entry; measured, and checked by
tests/services/test_embedding_cache.py.
"""


class KeptVector(NamedTuple):
    """A float32 vector as bytes, the number of tokens read, and whether the text was truncated."""

    vector: bytes
    tokens: int
    truncated: bool


class EmbeddingCache(LRUCache[bytes, KeptVector]):
    """LRU cache of vectors, limited to ``max_bytes``."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes, getsizeof=size_of)

    def put(self, key: bytes, kept: KeptVector) -> None:
        """Cache a vector, unless it alone exceeds the limit."""
        with contextlib.suppress(ValueError):
            self[key] = kept


def text_keys(request: EmbeddingRequest, fingerprint: str) -> list[bytes]:
    """Return the cache key of each text for the embedder with ``fingerprint``."""
    prefix = f"{fingerprint}\0{request.input_type or ''}\0{request.normalize:d}".encode()
    # A caller inside the process may pass a lone surrogate, which wire models reject.
    return [hashlib.sha256(prefix + text.encode("utf-8", "surrogatepass")).digest() for text in request.texts]


def size_of(kept: KeptVector) -> int:
    """Return the memory that a cached vector uses, in bytes."""
    return FIXED_BYTES + len(kept.vector)
