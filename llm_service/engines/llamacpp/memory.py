"""Size of the KV cache of llama.cpp."""

import math
from dataclasses import dataclass

from models.shape import ModelShape

BYTES_PER_ELEMENT = 2
"""The cache is kept in 16 bits."""
DEFAULT_TOKENS_PER_REQUEST = 768
DEFAULT_LIMIT_BYTES = 1024**3
MACHINE_SHARE = 0.25
LEAST_TOKENS = 512
COPIES_SHARE = 0.25
"""Of the cache, for copies of conversations beside it (``engines.llamacpp.prefixes``)."""
PADDING = 256
"""llama.cpp rounds the cache up to a multiple of this."""


@dataclass(frozen=True, slots=True)
class KvPlan:
    """``tokens`` that all requests together may hold, ``context_length`` of one of them, ``bytes`` of the cache."""

    tokens: int
    context_length: int
    bytes: int


def plan_kv(shape: ModelShape, memory_gb: float, max_batch: int, machine_bytes: int) -> KvPlan:
    """Size the KV cache.

    Args:
        shape: of the model.
        memory_gb: limit in GB; 0 takes enough for ``max_batch`` usual requests within a share of the machine.
        max_batch: requests at the same time.
        machine_bytes: memory of the machine.

    """
    per_token = shape.kv_elements_per_token * BYTES_PER_ELEMENT
    most = max_batch * shape.context_length
    if memory_gb:
        tokens = min(most, int(memory_gb * 1024**3 / (1 + COPIES_SHARE) / per_token))
    else:
        limit = min(DEFAULT_LIMIT_BYTES, int(machine_bytes * MACHINE_SHARE))
        tokens = min(most, max_batch * DEFAULT_TOKENS_PER_REQUEST, int(limit / per_token))
    tokens = max(LEAST_TOKENS, math.floor(tokens / PADDING) * PADDING)
    return KvPlan(tokens, min(tokens, shape.context_length), tokens * per_token)
