"""Text generation with transformers, for models and devices that OpenVINO does not serve."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from jinja2 import TemplateError

from engines.base import (
    ChatMessage,
    EmbeddingRequest,
    EngineInfo,
    Failed,
    Failure,
    Finished,
    GenerationRequest,
    RequestEvent,
    RequestRejected,
    SamplingParams,
)
from engines.control_tokens import ControlTokens
from engines.model_fingerprint import model_fingerprint
from engines.text_assembly import TextAssembler
from engines.thinking import begins_inside_thought
from engines.transformers_continuous import ContinuousRunner
from engines.transformers_loading import load
from engines.transformers_rows import Row, Runner
from engines.transformers_sampling import RowSampler
from engines.transformers_static import StaticRunner

STEP_WAIT_S = 0.05

Batching = Literal["auto", "static", "continuous"]


def is_continuous(batching: Batching, device_type: str) -> bool:
    """Whether requests come and go one by one: not on a CPU unless that is asked for."""
    return batching == "continuous" or (batching == "auto" and device_type == "cuda")


class TransformersGenerator:
    """An ``Engine`` for generation requests.

    A ``Runner`` carries them through the model: the library's continuous batching on CUDA, static
    batches through ``generate()`` on a CPU, where these are faster (docs/decisions/0014); ``batching``
    says otherwise. ``step`` hands over what the runner has produced. ``loaded`` and ``runner`` are
    there to be looked at by benchmarks. ``reproducible`` is LLM_REPRODUCIBLE: in static batches a request
    with a seed is a batch of its own, since sums depend on how many rows are computed together.
    """

    def __init__(
        self,
        *,
        model_path: Path,
        requested_model: str,
        model_name: str,
        degraded: bool,
        device_map: str,
        dtype: str,
        max_batch: int,
        kv_cache_gb: float = 0.0,
        max_batched_tokens: int = 0,
        batching: Batching = "auto",
        reproducible: bool = True,
    ) -> None:
        self.loaded = load(
            model_path,
            name=model_name,
            device_map=device_map,
            dtype=dtype,
            kv_cache_gb=kv_cache_gb,
            max_batched_tokens=max_batched_tokens,
        )
        tokenizer = self.loaded.tokenizer
        self._control_tokens = ControlTokens(
            tokenizer.get_vocab().items(), lambda ids: tokenizer.batch_decode(ids, skip_special_tokens=True)
        )
        device = self.loaded.model.device
        self.runner: Runner = (
            ContinuousRunner(self.loaded, max_batch=max_batch)
            if is_continuous(batching, device.type)
            else StaticRunner(self.loaded, max_batch=max_batch, seeded_alone=reproducible)
        )
        self._rows: dict[str, Row] = {}
        self.info = EngineInfo(
            backend="transformers",
            model=model_name,
            requested_model=requested_model,
            artifact="gguf" if model_path.suffix.lower() == ".gguf" else "safetensors",
            device=str(device),
            context_length=self.runner.context_length,
            degraded=degraded,
            fingerprint=model_fingerprint(model_path),
        )

    def warm_up(self) -> None:
        """Generate a few tokens."""
        sampling = SamplingParams(max_new_tokens=4, temperature=0.0, top_p=1.0)
        self.submit(GenerationRequest("warm-up", (ChatMessage("user", "1 2 3"),), sampling))
        while self.running:
            self.step()

    def submit(self, request: GenerationRequest | EmbeddingRequest) -> None:
        """Tokenize the conversation and hand it to the runner."""
        assert isinstance(request, GenerationRequest)
        if request.sampling.json_schema is not None:
            raise RequestRejected(Failure.UNSUPPORTED, "this engine cannot make answers follow a JSON schema")
        prompt_ids = self._tokenize(request)
        room = self.info.context_length - len(prompt_ids)
        if room < 1:
            raise RequestRejected(
                Failure.CONTEXT_LENGTH_EXCEEDED,
                f"the conversation has {len(prompt_ids)} tokens; this model reads {self.info.context_length - 1}",
                prompt_tokens=len(prompt_ids),
                context_length=self.info.context_length,
            )
        row = Row(
            request=request,
            prompt_ids=prompt_ids,
            max_new_tokens=min(request.sampling.max_new_tokens, room),
            text=TextAssembler(self._decode, request.sampling.stop, incremental=request.stream),
            sampler=RowSampler(request.sampling),
            begins_inside_thought=begins_inside_thought(prompt_ids, self._decode),
        )
        self._rows[request.id] = row
        self.runner.add(row)

    def cancel(self, request_id: str) -> None:
        """Drop a request; its row ends after the pass under way."""
        row = self._rows.pop(request_id, None)
        if row is not None:
            self.runner.cancel(row)

    def step(self) -> Sequence[RequestEvent]:
        """Return what the runner has produced, waiting ``STEP_WAIT_S`` seconds when that is nothing."""
        events: list[RequestEvent] = []
        for row, event in self.runner.collect(STEP_WAIT_S):
            # By identity: what a cancelled request still had on the way must not reach one with its id.
            if self._rows.get(event.request_id) is not row:
                continue
            events.append(event)
            if isinstance(event, Finished | Failed):
                del self._rows[event.request_id]
        return events

    @property
    def running(self) -> int:
        """Requests waiting or in a batch."""
        return len(self._rows)

    @property
    def batch_size(self) -> int:
        """Requests that the runner carries through the model now."""
        return self.runner.batch_size

    @property
    def kv_cache_usage(self) -> float | None:
        """Share of the KV cache that they hold, 0 to 1."""
        return self.runner.kv_cache_usage

    def close(self) -> None:
        """Cancel everything and end the runner."""
        for request_id in list(self._rows):
            self.cancel(request_id)
        self.runner.close()

    def _tokenize(self, request: GenerationRequest) -> list[int]:
        as_text = self._control_tokens.as_text
        history = [{"role": message.role, "content": as_text(message.content)} for message in request.messages]
        try:
            encoded = self.loaded.tokenizer.apply_chat_template(
                history,
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                enable_thinking=request.enable_thinking,
            )
        except TemplateError as error:
            raise RequestRejected(
                Failure.UNSUPPORTED, "the model's chat template does not accept this sequence of messages"
            ) from error
        ids: list[int] = encoded["input_ids"]
        return ids

    def _decode(self, ids: list[int]) -> str:
        return str(self.loaded.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))
