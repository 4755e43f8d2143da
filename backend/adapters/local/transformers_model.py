"""Safetensors models on transformers, one conversation at a time."""

import asyncio
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from adapters.local.config import LocalModelConfig
from adapters.local.files import ModelFiles
from adapters.local.model import Finished, too_long
from adapters.ports.models import ChatMessage, SamplingOptions

logger = logging.getLogger(__name__)
_STOP_GRACE_S = 30.0


class TransformersModel:
    """A ``Generator`` of a folder with safetensors."""

    slots = 1

    def __init__(self, files: ModelFiles, config: LocalModelConfig) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        started, folder = time.monotonic(), str(files.folder)
        self.name = files.name
        self.substituted = files.substituted
        self._thinking = config.enable_thinking
        self._device = pick_device(torch, config.device_map)
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        # No device_map: with little memory it would move layers to the disk.
        model: Any = AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=_pick_dtype(torch, config.dtype, self._device)
        )
        self._model: Any = model.to(self._device).eval()
        self._thread = ThreadPoolExecutor(1, "generation")
        logger.info("local model loaded", extra={"model": self.name, "seconds": round(time.monotonic() - started, 1)})

    async def generate(
        self, messages: Sequence[ChatMessage], options: SamplingOptions
    ) -> AsyncIterator[str | Finished]:
        """Yield pieces of text, then ``Finished``."""
        from transformers import AsyncTextIteratorStreamer

        loop, stop = asyncio.get_running_loop(), threading.Event()
        pieces: Any = AsyncTextIteratorStreamer(self._tokenizer, skip_prompt=True, skip_special_tokens=True)
        work = loop.run_in_executor(self._thread, self._generate, messages, options, pieces, stop)
        # A failure ends the pieces as well.
        work.add_done_callback(lambda _: pieces.text_queue.put_nowait(pieces.stop_signal))
        try:
            async for piece in pieces:
                if piece:
                    yield piece
            yield await work
        finally:
            stop.set()
            _, pending = await asyncio.wait((work,), timeout=_STOP_GRACE_S)
            if pending:
                logger.critical("a computation that was cancelled goes on: ending the process")
                os._exit(1)

    def _generate(
        self, messages: Sequence[ChatMessage], options: SamplingOptions, streamer: Any, stop: threading.Event
    ) -> Finished:
        import torch
        from transformers import StoppingCriteria, StoppingCriteriaList

        class Stopper(StoppingCriteria):
            def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:  # noqa: ARG002
                return torch.full((input_ids.shape[0],), stop.is_set(), dtype=torch.bool, device=input_ids.device)

        inputs = self._tokenizer.apply_chat_template(
            [dict(message) for message in messages],
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
            enable_thinking=self._thinking,
            sanitize_control_tokens=True,
        ).to(self._device)
        prompt_tokens = int(inputs["input_ids"].shape[1])
        context = int(getattr(self._model.config, "max_position_embeddings", 0) or 0) or prompt_tokens + 2**16
        if prompt_tokens >= context:
            raise too_long(prompt_tokens, context)
        greedy = options.temperature == 0 or options.top_p == 0
        with torch.inference_mode():
            output = self._model.generate(
                **inputs,
                do_sample=not greedy,
                temperature=None if greedy else options.temperature,
                top_p=None if greedy else options.top_p,
                top_k=None if greedy else 0,
                max_new_tokens=min(options.max_new_tokens or context, context - prompt_tokens),
                pad_token_id=self._tokenizer.eos_token_id,
                streamer=streamer,
                stopping_criteria=StoppingCriteriaList([Stopper()]),
            )
        tokens = output[0][prompt_tokens:].tolist()
        ends = self._model.generation_config.eos_token_id
        ended = tokens and tokens[-1] in (*(ends if isinstance(ends, list) else [ends]), self._tokenizer.eos_token_id)
        return Finished("stop" if ended else "length", prompt_tokens, len(tokens))


def pick_device(torch: Any, wanted: str) -> str:
    """Return ``LLM_DEVICE_MAP`` as one device: a GPU where there is one."""
    if wanted not in ("auto", "balanced", "sequential"):
        return wanted
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _pick_dtype(torch: Any, wanted: str, device: str) -> Any:
    """Return the number format: half the memory where the device computes in bfloat16."""
    if wanted != "auto":
        return getattr(torch, wanted)
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    features = torch.cpu.get_capabilities()
    native = any(features.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16", "arm_bf16"))
    return torch.bfloat16 if native or device == "mps" else torch.float32
