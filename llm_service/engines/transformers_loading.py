"""Loads a causal language model and its tokenizer: which device, which number format, does it fit."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import torch
import transformers

from engines.base import ModelLoadError
from engines.hardware import memory_bytes
from engines.loading_errors import LOADING_ERRORS, loading_advice
from engines.transformers_packing import pack_linear_layers

library: Any = transformers
"""Not checked by types: its annotations are partial and contradict its use."""

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
CPU_BF16_FEATURES = ("amx_bf16", "avx512_bf16", "bf16")
"""Names in ``torch.cpu.get_capabilities()``; without one of them bfloat16 is emulated and slow."""
HEADROOM_BYTES = 512 * 1024**2
"""What has to stay free beside the weights for the first requests."""
KV_MEMORY_SHARE = 0.5
"""Share of the memory that is free after loading which a batch's KV cache may take."""
DEFAULT_CONTEXT = 2048
CUDA_PREFILL_TOKENS = 1024
CPU_PREFILL_S = 0.5
CPU_PREFILL_RATES = {"amx_bf16": 3.3e11, "avx512_bf16": 1.6e11, "bf16": 1.6e11}
"""Parameters times prompt tokens a second in bfloat16, by the processor's feature, on two cores: 3.4e11 were
measured with AMX; without it the matrix product reaches 330 GFLOP/s."""
OTHER_CPU_PREFILL_RATE = 0.9e11
"""A 1.7B model in float32 read 51 tokens/s."""
SMALLEST_PREFILL, LARGEST_PREFILL = 32, 2048


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model ready to generate. ``context_length``, ``batch_tokens`` and ``prefill_tokens`` are in tokens;
    the second is how many a batch may hold, padding and answers included, the third how many prompt
    tokens one pass reads. ``top_k`` 0 means no bound.
    """

    model: Any
    tokenizer: Any
    stop_ids: frozenset[int]
    pad_id: int
    top_k: int
    context_length: int
    batch_tokens: int
    prefill_tokens: int


def load(
    path: Path,
    *,
    name: str,
    device_map: str,
    dtype: str,
    kv_cache_gb: float = 0.0,
    max_batched_tokens: int = 0,
    pack: bool = True,
) -> LoadedModel:
    """Load a Hugging Face folder (safetensors) or a ``.gguf`` file; raises ``ModelLoadError``.

    ``kv_cache_gb`` bounds the KV cache (0: a share of the memory that is free after loading),
    ``max_batched_tokens`` is how many prompt tokens one pass reads (0: chosen by device and size). ``pack``
    has the weights reordered for the CPU's matrix kernels; without it the model is just as the library loads it.
    """
    library.utils.logging.disable_progress_bar()
    source: dict[str, Any] = {"pretrained_model_name_or_path": str(path), "local_files_only": True}
    if path.suffix.lower() == ".gguf":
        source |= {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    # False, and said outright: left out, the library asks on standard input whether to run code that comes
    # with a model, and the worker's standard input is the pipe that its commands come in on.
    source["trust_remote_code"] = False
    try:
        config = library.AutoConfig.from_pretrained(**source)
        tokenizer = library.AutoTokenizer.from_pretrained(**source)
        device = _choose_device(device_map, config, dtype, name, is_gguf="gguf_file" in source)
        model = _load_weights(source, config, device, _choose_dtype(dtype, device))
    except LOADING_ERRORS as error:
        raise ModelLoadError(loading_advice("transformers", name, path, error)) from error
    if not tokenizer.chat_template:
        raise ModelLoadError(f"{name} has no chat template: choose an instruction-tuned model")
    if pack:
        pack_linear_layers(model)
    described = _describe(model, tokenizer, kv_cache_gb)
    return replace(described, prefill_tokens=max_batched_tokens) if max_batched_tokens else described


def _choose_device(device_map: str, config: Any, dtype: str, name: str, *, is_gguf: bool) -> torch.device:
    """Choose the first GPU or the CPU; a model is never spread over a disk, and not over several GPUs."""
    if device_map == "cuda" and not torch.cuda.is_available():
        raise ModelLoadError("LLM_DEVICE_MAP is cuda, but this installation of torch finds no GPU: use auto or cpu")
    with torch.device("meta"):
        parameters = library.AutoModelForCausalLM.from_config(config).num_parameters()
    if device_map != "cpu" and torch.cuda.is_available():
        gpu = torch.device("cuda:0")
        needed = parameters * _choose_dtype(dtype, gpu).itemsize + HEADROOM_BYTES
        free, _total = torch.cuda.mem_get_info(gpu)
        if needed <= free:
            return gpu
        if device_map == "cuda":
            raise ModelLoadError(_does_not_fit(name, "the GPU", needed, free))
    cpu = torch.device("cpu")
    size = _choose_dtype(dtype, cpu).itemsize
    # The weights of a GGUF file pass through float32 on their way.
    needed = parameters * (size + 4 if is_gguf else size) + HEADROOM_BYTES
    if needed > _free_memory():
        raise ModelLoadError(_does_not_fit(name, "memory", needed, _free_memory()))
    return cpu


def _choose_dtype(dtype: str, device: torch.device) -> torch.dtype:
    if dtype != "auto":
        return DTYPES[dtype]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    capabilities = torch.cpu.get_capabilities()
    return torch.bfloat16 if any(capabilities.get(feature) for feature in CPU_BF16_FEATURES) else torch.float32


def _load_weights(source: dict[str, Any], config: Any, device: torch.device, dtype: torch.dtype) -> Any:
    options: dict[str, Any] = {"config": config, "dtype": dtype, "output_loading_info": True}
    if "gguf_file" in source:
        options["quantization_config"] = library.GgufConfig(dequantize=True)
    else:
        options["use_safetensors"] = True
    if device.type != "cpu":
        options["device_map"] = {"": device}
    model, report = library.AutoModelForCausalLM.from_pretrained(**source, **options)
    if report["missing_keys"]:
        raise ValueError(f"weights are missing, among them {min(report['missing_keys'])}")
    return model


def _describe(model: Any, tokenizer: Any, kv_cache_gb: float) -> LoadedModel:
    text_config = model.config.get_text_config()
    own = model.generation_config
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id or 0
    # Sampling and stopping are each request's own; of the model's settings only this one is left to generate().
    model.generation_config = library.GenerationConfig(
        do_sample=False, use_cache=True, pad_token_id=pad_id, repetition_penalty=own.repetition_penalty
    )
    context = int(getattr(text_config, "max_position_embeddings", None) or DEFAULT_CONTEXT)
    kv_bytes = _free_memory_of(model.device) * KV_MEMORY_SHARE
    if kv_cache_gb:
        kv_bytes = min(kv_bytes, kv_cache_gb * 1024**3)
    batch_tokens = max(1, int(kv_bytes) // _kv_bytes_per_token(text_config, model))
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        stop_ids=_stop_ids(own.eos_token_id, text_config.eos_token_id, tokenizer.eos_token_id),
        pad_id=pad_id,
        top_k=own.top_k or 0,
        context_length=min(context, batch_tokens),
        batch_tokens=batch_tokens,
        prefill_tokens=_prefill_tokens(model),
    )


def _prefill_tokens(model: Any) -> int:
    """Return how many prompt tokens one pass reads: it cannot be interrupted, and a cancel waits for it."""
    if model.device.type == "cuda":
        return CUDA_PREFILL_TOKENS
    rate = OTHER_CPU_PREFILL_RATE
    if model.dtype == torch.bfloat16:
        features = torch.cpu.get_capabilities()
        rate = next((fast for feature, fast in CPU_PREFILL_RATES.items() if features.get(feature)), rate)
    tokens = int(CPU_PREFILL_S * rate / model.num_parameters())
    return max(SMALLEST_PREFILL, min(LARGEST_PREFILL, tokens))


def _stop_ids(*declared: int | list[int] | None) -> frozenset[int]:
    """Gather the end tokens: the files of one model name them in up to three places, not all alike."""
    ids: set[int] = set()
    for value in declared:
        ids.update(value if isinstance(value, list) else [] if value is None else [value])
    return frozenset(ids)


def _kv_bytes_per_token(config: Any, model: Any) -> int:
    heads = getattr(config, "num_attention_heads", None) or 1
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    head_size = getattr(config, "head_dim", None) or config.hidden_size // heads
    return int(2 * config.num_hidden_layers * kv_heads * head_size * model.dtype.itemsize)


def _free_memory_of(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return _free_memory()


def _free_memory() -> int:
    return min(int(psutil.virtual_memory().available), memory_bytes())


def _does_not_fit(name: str, place: str, needed: int, free: int) -> str:
    return (
        f"{name} needs {needed / 1e9:.1f} GB of {place} and {free / 1e9:.1f} GB are free: "
        f"choose a smaller model (LLM_MODEL), free memory, or set LLM_DTYPE=bfloat16 or LLM_BACKEND=openvino"
    )
