"""Memory of the OpenVINO engine: KV cache and prefix cache within a bound."""

from dataclasses import dataclass

from models.shape import ModelShape

BLOCK_TOKENS = 32
"""Tokens in one block of OpenVINO's paged KV cache on CPUs."""
KV_BYTES_PER_ELEMENT = 1.2
"""8 bits, with a scale and a zero point for each group: 13.7 kB a token were measured for 11,520 elements."""
DEFAULT_BYTES, DEFAULT_SHARE = 1024**3, 1 / 8
DEFAULT_TOKENS = 12288
KV_SHARE = 3 / 4
"""Share of the limit; the rest is for kernels, which OpenVINO compiles for every number of tokens in a step."""


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Blocks and bytes of the KV cache; blocks that no request holds are the prefix cache."""

    blocks: int
    kv_bytes: int

    @property
    def tokens(self) -> int:
        """Tokens that fit the KV cache."""
        return self.blocks * BLOCK_TOKENS


def plan(shape: ModelShape, limit_gb: float, machine_bytes: int) -> MemoryPlan:
    """Size the KV cache within ``limit_gb``, or with 0 within a share of the machine's memory."""
    if limit_gb:
        limit, most_tokens = limit_gb * 1024**3, float("inf")
    else:
        limit, most_tokens = min(DEFAULT_BYTES, machine_bytes * DEFAULT_SHARE), DEFAULT_TOKENS
    block_bytes = BLOCK_TOKENS * max(1, shape.kv_elements_per_token) * KV_BYTES_PER_ELEMENT
    blocks = max(2, int(min(limit * KV_SHARE / block_bytes, most_tokens / BLOCK_TOKENS)))
    return MemoryPlan(blocks, int(blocks * block_bytes))
