"""Text generation on OpenVINO GenAI's continuous batching pipeline."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import openvino
import openvino_genai

from engines.base import (
    EmbeddingRequest,
    EngineBroken,
    EngineInfo,
    Failed,
    Failure,
    Finished,
    FinishReason,
    FirstToken,
    GenerationRequest,
    ModelLoadError,
    RequestEvent,
    RequestRejected,
    SamplingParams,
    TextDelta,
)
from engines.hardware import has_amx, memory_bytes
from engines.kv_cache import BLOCK_TOKENS, cache_blocks, read_shape, step_tokens
from engines.model_fingerprint import model_fingerprint
from engines.models import ModelArtifact
from engines.text_assembly import TextAssembler
from engines.thinking import begins_inside_thought

logger = logging.getLogger(__name__)

UNLIMITED = 2**31 - 1
DEFAULT_TOP_K = 50
"""What transformers' ``generate`` uses when a model's own settings say nothing."""
PIECE_CHARACTERS = 2048
WARM_UP_BATCH = 8


@dataclass(slots=True)
class _Active:
    """A request under way."""

    request: GenerationRequest
    handle: Any
    text: TextAssembler
    prompt_ids: list[int]
    max_new_tokens: int


class OpenVinoGenerator:
    """An ``Engine`` for generation requests."""

    def __init__(
        self,
        artifact: ModelArtifact,
        *,
        max_batch: int,
        dtype: str = "auto",
        kv_cache_gb: float = 0.0,
        max_batched_tokens: int = 0,
    ) -> None:
        shape = read_shape(artifact)
        blocks = cache_blocks(shape, kv_cache_gb, memory_bytes())
        scheduler = openvino_genai.SchedulerConfig()
        scheduler.enable_prefix_caching = True
        scheduler.dynamic_split_fuse = True
        scheduler.num_kv_blocks = blocks
        scheduler.max_num_seqs = max_batch
        scheduler.max_num_batched_tokens = max(step_tokens(shape, max_batched_tokens), max_batch)
        try:
            self._pipeline = openvino_genai.ContinuousBatchingPipeline(
                str(artifact.path), scheduler, "CPU", _precision(dtype)
            )
        except RuntimeError as error:
            raise ModelLoadError(_load_advice(artifact, error)) from error
        self._tokenizer = self._pipeline.get_tokenizer()
        if not self._tokenizer.chat_template:
            raise ModelLoadError(f"{artifact.model} has no chat template: choose an instruction-tuned model")
        self._requests: dict[str, _Active] = {}
        self._next_handle = 0
        self.info = EngineInfo(
            backend="openvino",
            model=artifact.model,
            requested_model=artifact.requested_model,
            artifact=artifact.format,
            device="cpu",
            # One block stays free for the token that is being generated.
            context_length=min(shape.context_length, (blocks - 1) * BLOCK_TOKENS),
            degraded=artifact.degraded,
            fingerprint=model_fingerprint(artifact.path),
        )

    def warm_up(self) -> None:
        """Generate a few tokens alone and side by side: kernels are compiled for each of these shapes."""
        tokens = self._tokenizer.encode("1 2 3").input_ids
        for together in (1, WARM_UP_BATCH):
            config = self._configure(SamplingParams(max_new_tokens=8, temperature=1.0, top_p=0.9), 8)
            handles = [self._pipeline.add_request(self._take_handle_id(), tokens, config) for _ in range(together)]
            while self._pipeline.has_non_finished_requests():
                self._pipeline.step()
            for handle in handles:
                handle.read_all()

    def submit(self, request: GenerationRequest | EmbeddingRequest) -> None:
        """Tokenize the conversation and hand it to the pipeline."""
        assert isinstance(request, GenerationRequest)
        prompt_ids = self._tokenize(request)
        room = self.info.context_length - len(prompt_ids)
        if room < 1:
            raise RequestRejected(
                Failure.CONTEXT_LENGTH_EXCEEDED,
                f"the conversation has {len(prompt_ids)} tokens; this model reads {self.info.context_length - 1}",
                prompt_tokens=len(prompt_ids),
                context_length=self.info.context_length,
            )
        self._requests[request.id] = self._start(
            request,
            prompt_ids,
            TextAssembler(self._decode, request.sampling.stop, incremental=request.stream),
            min(request.sampling.max_new_tokens, room),
        )

    def cancel(self, request_id: str) -> None:
        """Drop a request; its blocks are free after the next step."""
        active = self._requests.pop(request_id, None)
        if active is not None:
            active.handle.cancel()

    def step(self) -> Sequence[RequestEvent]:
        """Run one step of the pipeline and collect what every request got from it."""
        try:
            self._pipeline.step()
        except RuntimeError as error:
            return self._recover(error)
        events: list[RequestEvent] = []
        for active in list(self._requests.values()):
            self._collect(active, events)
        return events

    @property
    def running(self) -> int:
        """Requests under way."""
        return len(self._requests)

    def close(self) -> None:
        """Cancel everything; the pipeline goes with the process."""
        for request_id in list(self._requests):
            self.cancel(request_id)

    def _tokenize(self, request: GenerationRequest) -> list[int]:
        history = [{"role": message.role, "content": message.content} for message in request.messages]
        try:
            prompt = self._tokenizer.apply_chat_template(
                history, add_generation_prompt=True, extra_context={"enable_thinking": request.enable_thinking}
            )
        except RuntimeError as error:
            raise RequestRejected(
                Failure.UNSUPPORTED, "the model's chat template does not accept this sequence of messages"
            ) from error
        ids = self._encode(prompt)
        if len(ids) < self.info.context_length:
            return ids
        # The tokenizer of a GGUF file cuts at the model's context and says nothing; counted by
        # pieces, the number is right to within a token a piece.
        pieces = (prompt[at : at + PIECE_CHARACTERS] for at in range(0, len(prompt), PIECE_CHARACTERS))
        return [token for piece in pieces for token in self._encode(piece)]

    def _encode(self, text: str) -> list[int]:
        encoded = self._tokenizer.encode(text, add_special_tokens=False, max_length=UNLIMITED).input_ids
        return [int(token) for token in encoded.data.reshape(-1)]

    def _decode(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True)) if ids else ""

    def _take_handle_id(self) -> int:
        self._next_handle += 1
        return self._next_handle

    def _start(
        self, request: GenerationRequest, prompt_ids: list[int], text: TextAssembler, max_new_tokens: int
    ) -> _Active:
        tokens = openvino.Tensor(np.array([[*prompt_ids, *text.token_ids]], dtype=np.int64))
        config = self._configure(request.sampling, max_new_tokens - text.token_count)
        try:
            handle = self._pipeline.add_request(self._take_handle_id(), tokens, config)
        except RuntimeError as error:
            raise RequestRejected(Failure.GENERATION_FAILED, "the engine did not accept the request") from error
        return _Active(request, handle, text, prompt_ids, max_new_tokens)

    def _configure(self, sampling: SamplingParams, max_new_tokens: int) -> Any:
        # The model's own generation settings bring its stop tokens and top-k bound.
        config = self._pipeline.get_config()
        config.max_new_tokens = max_new_tokens
        config.apply_chat_template = False
        config.do_sample = sampling.temperature > 0 and sampling.top_p > 0
        if config.do_sample:
            config.temperature = sampling.temperature
            config.top_p = sampling.top_p
            # Without a bound the whole vocabulary is sorted for every token.
            config.top_k = min(config.top_k, DEFAULT_TOP_K)
            config.rng_seed = sampling.seed if sampling.seed is not None else self._next_handle
        if sampling.json_schema is not None:
            structure = openvino_genai.StructuredOutputConfig()
            structure.json_schema = sampling.json_schema
            config.structured_output_config = structure
        return config

    def _collect(self, active: _Active, events: list[RequestEvent]) -> None:
        handle, request, text = active.handle, active.request, active.text
        fresh: list[int] = []
        reason: FinishReason | None = None
        if handle.can_read():
            for output in handle.read().values():
                fresh.extend(output.generated_ids)
                if output.finish_reason == openvino_genai.GenerationFinishReason.LENGTH:
                    reason = "length"
        status = handle.get_status()
        if status == openvino_genai.GenerationStatus.IGNORED:
            del self._requests[request.id]
            message = "the request does not fit the engine's memory (LLM_KV_CACHE_GB)"
            events.append(Failed(request.id, Failure.GENERATION_FAILED, message))
            return
        if fresh and text.token_count == 0:
            events.append(FirstToken(request.id, begins_inside_thought(active.prompt_ids, self._decode)))
        delta = text.push(fresh)
        if text.stopped:
            handle.cancel()
            reason = "stop"
        elif status != openvino_genai.GenerationStatus.RUNNING and not handle.can_read():
            reason = reason or "stop"
            delta += text.finish()
        if delta and request.stream:
            events.append(TextDelta(request.id, delta))
        if reason is not None:
            del self._requests[request.id]
            events.append(Finished(request.id, text.text, reason, len(active.prompt_ids), text.token_count))

    def _recover(self, error: RuntimeError) -> list[RequestEvent]:
        """Bring the pipeline back after a step raised.

        The pipeline does not say which request made it raise, and refuses to go on with any that
        was part of that step. So all are cancelled; those with a schema, the known cause, fail, and
        the others are handed in again with what they have so far. When that does not help, or
        there was no suspect, the engine is given up.
        """
        logger.warning("a generation step failed: %s", _last_line(error))
        suspects = [active for active in self._requests.values() if active.request.sampling.json_schema is not None]
        innocent = [active for active in self._requests.values() if active not in suspects]
        self.close()
        try:
            while self._pipeline.has_non_finished_requests():
                self._pipeline.step()
        except RuntimeError as again:
            raise EngineBroken(_last_line(again)) from again
        if not suspects:
            raise EngineBroken(_last_line(error)) from error
        for active in innocent:
            restarted = self._start(active.request, active.prompt_ids, active.text, active.max_new_tokens)
            self._requests[active.request.id] = restarted
        message = "the engine could not follow this JSON schema"
        return [Failed(active.request.id, Failure.GENERATION_FAILED, message) for active in suspects]


def _precision(dtype: str) -> dict[str, str]:
    """Return the properties that make OpenVINO compute in ``dtype`` (the names of LLM_DTYPE).

    Left alone it takes bfloat16 wherever the processor has it. With AMX that reads prompts 1.8 times
    as fast as float32 but generates at two thirds of its rate (docs/performance.md); float32 also
    rounds less, so answers depend less on what else is in the batch.
    """
    if dtype == "auto":
        return {"INFERENCE_PRECISION_HINT": "f32"} if has_amx() else {}
    names = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}
    return {"INFERENCE_PRECISION_HINT": names[dtype]}


def _last_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__


def _load_advice(artifact: ModelArtifact, error: RuntimeError) -> str:
    return (
        f"OpenVINO could not load {artifact.model} ({_last_line(error)}). "
        f"Check the file, or set LLM_BACKEND=transformers to use the other engine"
    )
