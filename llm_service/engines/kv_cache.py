"""Size of a transformer's KV cache: the one place where it is computed."""

from collections.abc import Mapping
from typing import Any


def kv_elements_per_token(config: Mapping[str, Any]) -> int:
    """Return the numbers that one token adds to the KV cache, from a model's ``config.json``."""
    heads = int(config["num_attention_heads"])
    head_size = int(config.get("head_dim") or config["hidden_size"] // heads)
    kv_heads = int(config.get("num_key_value_heads") or heads)
    return 2 * int(config["num_hidden_layers"]) * kv_heads * head_size
