"""Loads a causal language model and its tokenizer: which device, which number format, does it fit."""

import inspect
from dataclasses import dataclass
from typing import Any

import torch
import transformers

from config.settings import Settings
from engines.base import ModelLoadError
from engines.transformers.kv_cache import can_be_batched
from engines.transformers.loading_errors import LOADING_ERRORS, loading_advice
from models.artifacts import ModelArtifact
from models.hardware import available_memory_bytes
from models.shape import DEFAULT_CONTEXT

library: Any = transformers
"""Not checked by types: its annotations are partial and contradict its use."""

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
CPU_BF16_FEATURES = ("amx_bf16", "avx512_bf16", "bf16")
"""Names in ``torch.cpu.get_capabilities()``; without one of them bfloat16 is emulated and slow."""
HEADROOM_BYTES = 512 * 1024**2
"""Memory that must stay free beside the weights for the first requests."""
KV_MEMORY_SHARE = 0.4
"""Share of the memory left after loading that the KV cache may take; a batch is copied when rows join or leave."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model ready to generate. ``context_length`` and ``kv_tokens`` are in tokens: what one request may hold, and
    all requests together, padding included. ``top_k`` (0 for none) and ``repetition_penalty`` are the model's own.
    ``batched``: whether requests can share a pass.
    """

    model: Any
    tokenizer: Any
    stop_ids: frozenset[int]
    vocabulary: int
    top_k: int
    repetition_penalty: float
    context_length: int
    kv_tokens: int
    batched: bool


def load(artifact: ModelArtifact, settings: Settings) -> LoadedModel:
    """Load a Hugging Face folder of safetensors; raises ``ModelLoadError``."""
    name = artifact.model
    if artifact.format != "safetensors":
        raise ModelLoadError(f"transformers serves safetensors, and {name} is {artifact.format}: set LLM_BACKEND=auto")
    library.utils.logging.disable_progress_bar()
    source: dict[str, Any] = {
        "pretrained_model_name_or_path": str(artifact.path),
        "local_files_only": True,
        # Explicit: without it the library asks on standard input whether to run code that comes with a model, and
        # a worker's standard input is the pipe of its commands.
        "trust_remote_code": False,
    }
    try:
        config = library.AutoConfig.from_pretrained(**source)
        tokenizer = library.AutoTokenizer.from_pretrained(**source)
        device = _choose_device(settings.llm_device_map, config, settings.llm_dtype, name)
        model = _load_weights(source, config, device, _choose_dtype(settings.llm_dtype, device))
    except LOADING_ERRORS as error:
        raise ModelLoadError(loading_advice("transformers", name, artifact.path, error)) from error
    if not tokenizer.chat_template:
        raise ModelLoadError(f"{name} has no chat template: choose an instruction-tuned model")
    if "past_key_values" not in inspect.signature(model.forward).parameters:
        raise ModelLoadError(f"{name} is a {config.model_type} model without a KV cache: use its GGUF version")
    return _describe(model.eval(), tokenizer, settings.llm_memory_gb)


def _choose_device(device_map: str, config: Any, dtype: str, name: str) -> torch.device:
    """Choose the first GPU or the CPU; a model is never spread over a disk, and not over several GPUs."""
    gpu_wanted = device_map != "cpu" and torch.cuda.is_available()
    if device_map == "cuda" and not gpu_wanted:
        raise ModelLoadError("LLM_DEVICE_MAP is cuda, but this installation of torch finds no GPU: use auto or cpu")
    with torch.device("meta"):
        parameters = library.AutoModelForCausalLM.from_config(config).num_parameters()
    allowed = [*(["cuda:0"] if gpu_wanted else []), *(["cpu"] if device_map != "cuda" else [])]
    shortage = ""
    for device in map(torch.device, allowed):
        needed = parameters * _choose_dtype(dtype, device).itemsize + HEADROOM_BYTES
        free = _free_memory(device)
        if needed <= free:
            return device
        place = "memory" if device.type == "cpu" else "the GPU"
        shortage = f"{needed / 1e9:.1f} GB of {place} and {free / 1e9:.1f} GB are free"
    raise ModelLoadError(
        f"{name} needs {shortage}: choose a smaller model (LLM_MODEL), free memory, or set LLM_DTYPE=bfloat16 or "
        f"LLM_BACKEND=openvino"
    )


def _choose_dtype(dtype: str, device: torch.device) -> torch.dtype:
    if dtype != "auto":
        return DTYPES[dtype]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    capabilities = torch.cpu.get_capabilities()
    return torch.bfloat16 if any(capabilities.get(feature) for feature in CPU_BF16_FEATURES) else torch.float32


def _load_weights(source: dict[str, Any], config: Any, device: torch.device, dtype: torch.dtype) -> Any:
    options: dict[str, Any] = {"config": config, "dtype": dtype, "use_safetensors": True, "output_loading_info": True}
    if device.type != "cpu":
        options["device_map"] = {"": device}
    model, report = library.AutoModelForCausalLM.from_pretrained(**source, **options)
    if report["missing_keys"]:
        raise ValueError(f"weights are missing, among them {min(report['missing_keys'])}")
    return model


def _describe(model: Any, tokenizer: Any, kv_cache_gb: float) -> LoadedModel:
    config = model.config.get_text_config()
    own = model.generation_config
    kv_bytes = _free_memory(model.device) * KV_MEMORY_SHARE
    if kv_cache_gb:
        kv_bytes = min(kv_bytes, kv_cache_gb * 1024**3)
    kv_tokens = max(1, int(kv_bytes) // _kv_bytes_per_token(config, model))
    context = int(getattr(config, "max_position_embeddings", None) or DEFAULT_CONTEXT)
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        stop_ids=_stop_ids(own.eos_token_id, config.eos_token_id, tokenizer.eos_token_id),
        vocabulary=int(model.get_input_embeddings().num_embeddings),
        top_k=own.top_k or 0,
        repetition_penalty=float(own.repetition_penalty or 1.0),
        context_length=min(context, kv_tokens),
        kv_tokens=kv_tokens,
        batched=can_be_batched(model.config),
    )


def _stop_ids(*declared: int | list[int] | None) -> frozenset[int]:
    """Gather the end tokens: one model's files name them in up to three places, not all alike."""
    ids: set[int] = set()
    for value in declared:
        ids.update(value if isinstance(value, list) else [] if value is None else [value])
    return frozenset(ids)


def _kv_bytes_per_token(config: Any, model: Any) -> int:
    heads = getattr(config, "num_attention_heads", None) or 1
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    head_size = getattr(config, "head_dim", None) or config.hidden_size // heads
    return int(2 * config.num_hidden_layers * kv_heads * head_size * model.dtype.itemsize)


def _free_memory(device: torch.device) -> int:
    return int(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else available_memory_bytes()
