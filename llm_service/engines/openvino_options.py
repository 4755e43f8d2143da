"""How OpenVINO GenAI is told to compute, to schedule and to sample."""

from typing import Any

import openvino_genai

from engines.base import SamplingParams
from engines.hardware import has_amx

DEFAULT_TOP_K = 50
"""What transformers' ``generate`` uses when a model's own settings say nothing."""
LOOKUP_TOKENS = 8
"""Tokens that prompt lookup proposes for each step."""
LOOKUP_NGRAM = 3


def properties(dtype: str) -> dict[str, str]:
    """Return what makes OpenVINO compute in ``dtype`` (the names of LLM_DTYPE).

    Left alone it takes bfloat16 wherever the processor has it. With AMX that reads prompts 1.8 times
    as fast as float32 but generates at two thirds of its rate (docs/performance.md).
    """
    if dtype == "auto":
        return {"INFERENCE_PRECISION_HINT": "f32"} if has_amx() else {}
    names = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}
    return {"INFERENCE_PRECISION_HINT": names[dtype]}


def scheduler_config(*, blocks: int, max_batch: int, step_tokens: int, prefix_caching: bool = True) -> Any:
    """Return the scheduler's settings for a KV cache of ``blocks`` and steps of ``step_tokens``."""
    scheduler = openvino_genai.SchedulerConfig()
    scheduler.enable_prefix_caching = prefix_caching
    scheduler.dynamic_split_fuse = True
    scheduler.num_kv_blocks = blocks
    scheduler.max_num_seqs = max_batch
    scheduler.max_num_batched_tokens = max(step_tokens, max_batch)
    return scheduler


def generation_config(config: Any, sampling: SamplingParams, max_new_tokens: int, *, any_seed: int) -> Any:
    """Fill in the model's own generation settings, which bring its stop tokens and top-k bound.

    ``any_seed`` is for a request that names none.
    """
    config.max_new_tokens = max_new_tokens
    config.apply_chat_template = False
    config.do_sample = sampling.temperature > 0 and sampling.top_p > 0
    if config.do_sample:
        config.temperature = sampling.temperature
        config.top_p = sampling.top_p
        # Without a bound the whole vocabulary is sorted for every token.
        config.top_k = min(config.top_k, DEFAULT_TOP_K)
        config.rng_seed = sampling.seed if sampling.seed is not None else any_seed
    if sampling.json_schema is not None:
        structure = openvino_genai.StructuredOutputConfig()
        structure.json_schema = sampling.json_schema
        config.structured_output_config = structure
    return config
