"""Vectors of texts that were embedded before."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from cachetools import LRUCache

FIXED_BYTES = 600
"""What a kept vector takes beside its numbers: the objects around it, the key, the cache's own
entries; measured (tests/services/test_embedding_cache.py holds it to that).
"""


class KeptVector(NamedTuple):
    """A float32 vector as bytes, the tokens that were read of its text, and whether it was cut."""

    vector: bytes
    tokens: int
    truncated: bool


class EmbeddingCache:
    """Vectors by key, at most ``max_bytes`` of them; those go that have not been asked for longest."""

    def __init__(self, max_bytes: int) -> None:
        self._vectors: LRUCache[bytes, KeptVector] = LRUCache(max_bytes, getsizeof=size_of)

    @property
    def used_bytes(self) -> int:
        """What is kept now takes so much."""
        return int(self._vectors.currsize)

    def get(self, key: bytes) -> KeptVector | None:
        """Return the vector kept under this key."""
        return self._vectors.get(key)

    def put(self, key: bytes, kept: KeptVector) -> None:
        """Keep a vector, unless it alone is too large."""
        if size_of(kept) <= self._vectors.maxsize:
            self._vectors[key] = kept


def text_keys(texts: Sequence[str], fingerprint: str, *, normalize: bool) -> list[bytes]:
    """Return what stands for each text on this embedder; equal texts have equal keys."""
    prefix = f"{fingerprint}\0{normalize:d}".encode()
    # A caller inside the process may pass what no wire model would: half a surrogate pair.
    return [hashlib.sha256(prefix + text.encode("utf-8", "surrogatepass")).digest() for text in texts]


def size_of(kept: KeptVector) -> int:
    """Return the bytes that keeping this vector takes."""
    return FIXED_BYTES + len(kept.vector)
