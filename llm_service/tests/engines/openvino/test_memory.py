import pytest

from engines.openvino.memory import BLOCK_TOKENS, DEFAULT_TOKENS, plan
from models.shape import ModelShape, kv_elements_per_token

SMOLLM2 = {"num_attention_heads": 9, "num_key_value_heads": 3, "hidden_size": 576, "num_hidden_layers": 30}
QWEN3 = {"num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128, "num_hidden_layers": 28}


def test_the_kv_cache_of_a_token_counts_keys_and_values_of_every_layer() -> None:
    assert kv_elements_per_token(SMOLLM2) == 11_520
    assert kv_elements_per_token(QWEN3) == 57_344


@pytest.mark.parametrize("limit_gb", [0.25, 1.0, 4.0])
def test_a_limit_bounds_the_cache_and_is_used(limit_gb: float) -> None:
    found = plan(ModelShape(40960, kv_elements_per_token(QWEN3), 10**9), limit_gb, 10**12)
    assert limit_gb * 2**30 * 0.6 < found.kv_bytes < limit_gb * 2**30 * 0.8


def test_without_a_limit_a_small_model_gets_what_it_can_use_and_a_large_one_a_share() -> None:
    small = plan(ModelShape(8192, kv_elements_per_token(SMOLLM2), 10**8), 0.0, 24 * 2**30)
    assert small.tokens == DEFAULT_TOKENS
    large = plan(ModelShape(40960, kv_elements_per_token(QWEN3), 10**9), 0.0, 24 * 2**30)
    assert 8192 < large.tokens < DEFAULT_TOKENS


def test_there_are_always_two_blocks() -> None:
    assert plan(ModelShape(8192, 10**6, 10**9), 0.001, 10**9).tokens == 2 * BLOCK_TOKENS
