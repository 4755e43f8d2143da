"""How large the KV cache of the OpenVINO engine is made."""

import json
import math
from dataclasses import dataclass

from engines.gguf_metadata import read_gguf_metadata
from engines.models import ModelArtifact

BLOCK_TOKENS = 32
"""Tokens in one block of OpenVINO's paged KV cache on CPUs."""
KV_BYTES_PER_ELEMENT = 1.2
"""OpenVINO keeps the cache in 8 bits, with a scale and a zero point for each group: 13.7 kB a token
were measured for 11,520 elements."""
DEFAULT_TOKENS = 16384
DEFAULT_LIMIT_BYTES = 2 * 1024**3
MEMORY_SHARE = 0.125


@dataclass(frozen=True, slots=True)
class ModelShape:
    """What the sizes depend on: tokens of context, cache elements a token, bytes of weights."""

    context_length: int
    kv_elements_per_token: int
    weight_bytes: int


def read_shape(artifact: ModelArtifact) -> ModelShape:
    """Read the shape of a GGUF file or an OpenVINO folder."""
    if artifact.format == "gguf":
        metadata = read_gguf_metadata(artifact.path)
        return ModelShape(metadata.context_length, metadata.kv_elements_per_token, artifact.path.stat().st_size)
    config = json.loads((artifact.path / "config.json").read_text(encoding="utf-8"))
    heads = int(config["num_attention_heads"])
    head_size = int(config.get("head_dim") or config["hidden_size"] // heads)
    kv_heads = int(config.get("num_key_value_heads") or heads)
    return ModelShape(
        context_length=int(config.get("max_position_embeddings", 2048)),
        kv_elements_per_token=2 * int(config["num_hidden_layers"]) * kv_heads * head_size,
        weight_bytes=(artifact.path / "openvino_model.bin").stat().st_size,
    )


def cache_blocks(shape: ModelShape, limit_gb: float, memory_bytes: int) -> int:
    """Return the blocks of the KV cache: as many as fit ``limit_gb``, or, when that is 0, enough for
    ``DEFAULT_TOKENS`` within a share of the machine's memory.
    """
    bytes_per_token = shape.kv_elements_per_token * KV_BYTES_PER_ELEMENT
    if limit_gb > 0:
        tokens = limit_gb * 1024**3 / bytes_per_token
    else:
        limit = min(DEFAULT_LIMIT_BYTES, memory_bytes * MEMORY_SHARE)
        tokens = min(DEFAULT_TOKENS, limit / bytes_per_token)
    return max(2, math.ceil(tokens / BLOCK_TOKENS))
