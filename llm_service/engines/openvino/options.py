"""OpenVINO GenAI's options: precision, scheduling, sampling."""

from typing import Any

import openvino_genai

from engines.requests import GenerationRequest

DEFAULT_TOP_K = 50
"""Default of transformers' ``generate`` for a model without a setting of its own."""
ALL_TOKENS = 2**31 - 1
KERNELS = 256
"""Compiled kernels kept; 2,048 take 120 MB more once steps have had every length, and are 3% faster."""
_SEEDS = 2**64


def properties(dtype: str) -> dict[str, Any]:
    """Return the plugin's properties; ``dtype`` as in ``LLM_DTYPE``.

    By default everything is computed in float32: on processors with bfloat16 OpenVINO would take that, and greedy
    answers leave the model's own (docs/performance.md, fidelity).
    """
    names = {"auto": "f32", "float32": "f32", "float16": "f16", "bfloat16": "bf16"}
    return {"INFERENCE_PRECISION_HINT": names[dtype], "CPU_RUNTIME_CACHE_CAPACITY": KERNELS}


def scheduler_config(*, blocks: int, max_batch: int, most_tokens: int) -> Any:
    """Return the scheduler's settings for a KV cache of ``blocks`` and steps of at most ``most_tokens``."""
    scheduler = openvino_genai.SchedulerConfig()
    scheduler.enable_prefix_caching = True
    scheduler.dynamic_split_fuse = True
    scheduler.num_kv_blocks = blocks
    # More for the part of a long prompt that is read beside the answers, and for what rounds a step's length.
    scheduler.max_num_seqs = max_batch + 2
    scheduler.max_num_batched_tokens = max(most_tokens, max_batch + 2)
    return scheduler


def generation_config(config: Any, request: GenerationRequest, max_new_tokens: int, *, any_seed: int) -> Any:
    """Fill in the model's own generation settings, which bring its stop tokens and top-k bound.

    ``any_seed`` is for a request that names none.
    """
    sampling = request.sampling
    config.max_new_tokens = max_new_tokens
    config.apply_chat_template = False
    config.do_sample = not sampling.greedy
    if config.do_sample:
        config.temperature = sampling.temperature
        config.top_p = sampling.top_p
        # Without a bound the whole vocabulary is sorted for every token.
        config.top_k = min(config.top_k, DEFAULT_TOP_K) if sampling.top_k is None else sampling.top_k or ALL_TOKENS
        if sampling.min_p is not None:
            config.min_p = sampling.min_p
        config.rng_seed = (any_seed if sampling.seed is None else sampling.seed) % _SEEDS
    if sampling.presence_penalty:
        config.presence_penalty = sampling.presence_penalty
    if sampling.frequency_penalty:
        config.frequency_penalty = sampling.frequency_penalty
    if sampling.repetition_penalty is not None:
        config.repetition_penalty = sampling.repetition_penalty
    if sampling.logprobs is not None:
        config.logprobs = 1
    if request.grammar is not None:
        structure = openvino_genai.StructuredOutputConfig()
        structure.grammar = request.grammar
        config.structured_output_config = structure
    return config
