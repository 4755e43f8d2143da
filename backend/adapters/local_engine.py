"""The models themselves. Blocking, and heavy once used: for the process of the local models (``local_child``)."""

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters import gguf_cache
from adapters.base import ChatMessage, LogicalError, SamplingOptions
from adapters.local_config import LocalModelConfig
from adapters.local_models import ModelFiles

logger = logging.getLogger(__name__)
_LOADING = threading.Lock()
"""The model libraries resolve their names lazily and break when two threads first import them at once."""


@dataclass(frozen=True, slots=True)
class LocalAnswer:
    """What one generation gave; times in milliseconds."""

    text: str
    tokens: int
    finish_reason: str
    total_ms: float


class LocalGenerator:
    """A causal language model of transformers on one device. Used from one thread only."""

    def __init__(self, files: ModelFiles, config: LocalModelConfig) -> None:
        started = time.monotonic()
        self.name = files.name
        self.substituted = files.substituted
        self._config = config
        with _LOADING:
            torch = _torch()
            from transformers.utils import logging as transformers_logging

            transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
            transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
            self.device = _pick_device(torch, config.device_map)
            self._tokenizer, model = self._load(files, _pick_dtype(torch, config.dtype, self.device))
            self._model = model.to(self.device).eval()
        logger.info(
            "local model loaded",
            extra={"model": self.name, "device": self.device, "seconds": round(time.monotonic() - started, 1)},
        )

    def generate(
        self,
        messages: Sequence[ChatMessage],
        options: SamplingOptions,
        on_text: Callable[[str], None],
        stop: threading.Event,
    ) -> LocalAnswer:
        """Generate until the model ends, the budget is spent or ``stop`` is set; hand each piece to ``on_text``.

        Raises ``LogicalError`` when the prompt leaves no room in the context.
        """
        torch = _torch()
        from transformers import StoppingCriteriaList

        started = time.monotonic()
        pieces: list[str] = []

        def collect(text: str) -> None:
            pieces.append(text)
            on_text(text)

        inputs = self._tokenizer.apply_chat_template(
            [dict(message) for message in messages],
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
            enable_thinking=self._config.enable_thinking,
        ).to(self.device)
        prompt_tokens = int(inputs["input_ids"].shape[1])
        budget = self._budget(prompt_tokens, options.max_new_tokens)
        with torch.inference_mode():
            output = self._model.generate(
                **inputs,
                **self._sampling(options),
                max_new_tokens=budget,
                max_time=self._config.timeout_s,
                pad_token_id=self._tokenizer.eos_token_id,
                streamer=_streamer(self._tokenizer, collect),
                stopping_criteria=StoppingCriteriaList([_stopper(torch, stop)]),
            )
        new_tokens = output[0][prompt_tokens:].tolist()
        return LocalAnswer(
            "".join(pieces).strip(),
            len(new_tokens),
            self._finish_reason(new_tokens, stop),
            (time.monotonic() - started) * 1000,
        )

    def _load(self, files: ModelFiles, dtype: Any) -> tuple[Any, Any]:
        """Return tokenizer and model, on the CPU.

        Without ``device_map``: on a machine short of memory it would move layers to the disk.
        """
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

        unpacked = gguf_cache.unpacked_folder(files, self._config.unpacked_cache)
        if files.gguf is None or (unpacked is not None and unpacked.is_dir()):
            folder = str(unpacked or files.folder)
            model = AutoModelForCausalLM.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=dtype
            )
            return AutoTokenizer.from_pretrained(folder, local_files_only=True), model
        folder = str(files.folder)
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=files.gguf, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            gguf_file=files.gguf,
            local_files_only=True,
            dtype=dtype,
            quantization_config=GgufConfig(dequantize=True),
        )
        if unpacked is not None:
            gguf_cache.keep(unpacked, model, tokenizer)
        return tokenizer, model

    def _budget(self, prompt_tokens: int, wanted: int | None) -> int:
        context = int(getattr(self._model.config, "max_position_embeddings", 0) or 0)
        budget = wanted or self._config.max_new_tokens
        if context and prompt_tokens >= context:
            raise LogicalError(
                f"the prompt has {prompt_tokens} tokens, the context of {self.name} {context}",
                status=400,
                error_type="context_length_exceeded",
            )
        return min(budget, context - prompt_tokens) if context else budget

    def _sampling(self, options: SamplingOptions) -> dict[str, Any]:
        temperature = self._config.temperature if options.temperature is None else options.temperature
        top_p = self._config.top_p if options.top_p is None else options.top_p
        if temperature == 0 or top_p == 0:
            return {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        return {"do_sample": True, "temperature": temperature, "top_p": top_p}

    def _finish_reason(self, new_tokens: list[int], stop: threading.Event) -> str:
        ends = self._model.generation_config.eos_token_id
        ends = ends if isinstance(ends, list) else [ends]
        if new_tokens and new_tokens[-1] in (*ends, self._tokenizer.eos_token_id):
            return "stop"
        return "cancelled" if stop.is_set() else "length"


class LocalEncoder:
    """A sentence-transformers model on one device. Used from one thread only."""

    def __init__(self, folder: Path, config: LocalModelConfig) -> None:
        with _LOADING:
            torch = _torch()
            from sentence_transformers import SentenceTransformer

            self._model = SentenceTransformer(
                str(folder),
                device=_pick_device(torch, config.device_map),
                local_files_only=True,
                model_kwargs={"use_safetensors": True},
            )

    def encode(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one unit vector a text."""
        vectors = self._model.encode(
            list(texts), normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
        )
        rows: list[list[float]] = vectors.tolist()
        return rows


def _torch() -> Any:
    """Import torch, which is heavy, only when a local model is needed.

    Its threads must not spin while they wait for each other: on a machine whose cores are busy
    with something else, a token then takes seconds (measured on two cores under load: 24 tokens
    in 3.6 s without spinning, not done after 40 s with it).
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    return torch


def _streamer(tokenizer: Any, on_text: Callable[[str], None]) -> Any:
    """Return a streamer that hands over whole characters as they come, without the prompt."""
    from transformers import TextStreamer

    class Streamer(TextStreamer):
        def on_finalized_text(self, text: str, stream_end: bool = False) -> None:  # noqa: ARG002
            if text:
                on_text(text)

    return Streamer(tokenizer, skip_prompt=True, skip_special_tokens=True)


def _stopper(torch: Any, stop: threading.Event) -> Any:
    """Return the criterion that ends every sequence once ``stop`` is set."""
    from transformers import StoppingCriteria

    class Stopper(StoppingCriteria):
        def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:  # noqa: ARG002
            return torch.full((input_ids.shape[0],), stop.is_set(), dtype=torch.bool, device=input_ids.device)

    return Stopper()


def _pick_device(torch: Any, wanted: str) -> str:
    if wanted not in ("auto", "balanced", "sequential"):
        return wanted
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _pick_dtype(torch: Any, wanted: str, device: str) -> Any:
    """Return the number format: half the memory wherever the device computes in bfloat16 itself."""
    if wanted != "auto":
        return getattr(torch, wanted)
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    features = torch.cpu.get_capabilities()
    native = any(features.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16", "arm_bf16"))
    return torch.bfloat16 if native or device == "mps" else torch.float32
