"""Memory of the OpenVINO engine: KV cache, prefix cache and kernel cache within one bound."""

from dataclasses import dataclass

from models.shape import ModelShape

BLOCK_TOKENS = 32
"""Tokens in one block of OpenVINO's paged KV cache on CPUs."""
KV_BYTES_PER_ELEMENT = 1.2
"""8 bits, with a scale and a zero point for each group: 13.7 kB a token were measured for 11,520 elements."""
DEFAULT_BYTES, DEFAULT_SHARE = 1024**3, 1 / 8
DEFAULT_TOKENS = 16384
KERNEL_SHARE = 1 / 4
KERNEL_BYTES = 128 * 1024
"""A compiled kernel with its packed arguments, on average."""
FEWEST_KERNELS, MOST_KERNELS = 256, 2048


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """How the memory beside the weights is used.

    Attributes:
        blocks: of the KV cache; those that no request holds are the prefix cache.
        kernels: compiled kernels kept, one a shape of a layer's input.

    """

    blocks: int
    kernels: int
    kv_bytes: int

    @property
    def tokens(self) -> int:
        """Tokens that fit the KV cache."""
        return self.blocks * BLOCK_TOKENS


def plan(shape: ModelShape, limit_gb: float, machine_bytes: int) -> MemoryPlan:
    """Divide ``limit_gb``, or with 0 a share of the machine's memory, between the caches."""
    if limit_gb:
        limit, most_tokens = limit_gb * 1024**3, float("inf")
    else:
        limit, most_tokens = min(DEFAULT_BYTES, machine_bytes * DEFAULT_SHARE), DEFAULT_TOKENS
    block_bytes = BLOCK_TOKENS * max(1, shape.kv_elements_per_token) * KV_BYTES_PER_ELEMENT
    blocks = max(2, int(min(limit * (1 - KERNEL_SHARE) / block_bytes, most_tokens / BLOCK_TOKENS)))
    kernels = int(min(MOST_KERNELS, max(FEWEST_KERNELS, limit * KERNEL_SHARE / KERNEL_BYTES)))
    return MemoryPlan(blocks, kernels, int(blocks * block_bytes))
