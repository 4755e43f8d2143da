"""Text generation on OpenVINO GenAI's continuous batching pipeline."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openvino

from engines import step_size
from engines.base import (
    EmbeddingRequest,
    EngineInfo,
    Failure,
    GenerationRequest,
    ModelLoadError,
    RequestEvent,
    RequestRejected,
)
from engines.control_tokens import ControlTokens
from engines.gguf_file import openable
from engines.hardware import memory_bytes
from engines.kv_cache import BLOCK_TOKENS, KV_BYTES_PER_ELEMENT, cache_blocks, read_shape
from engines.model_fingerprint import model_fingerprint
from engines.models import ModelArtifact
from engines.openvino_lane import Answer, Lane, last_line
from engines.openvino_lookup import PromptLookup
from engines.openvino_options import properties, scheduler_config
from engines.openvino_second_lane import SecondLane
from engines.openvino_solo import Solo
from engines.stream_pace import StreamPace
from engines.text_assembly import TextAssembler
from engines.thinking import begins_inside_thought

logger = logging.getLogger(__name__)

UNLIMITED = 2**31 - 1
PIECE_CHARACTERS = 2048
WARM_UP_BATCH = 8
WAIT_S = 0.02
MODEL_IN_MEMORY = 3
"""Times its weights that a pipeline takes: they are repacked for the processor while they are read."""


class OpenVinoGenerator:
    """An ``Engine`` for generation requests.

    ``cache_dir`` is where the measured step size is kept between starts, and a copy of a file that can only be read;
    ``max_batched_tokens`` sets the step size instead. ``reproducible``, ``prompt_lookup`` and ``stream_interval_s``
    are LLM_REPRODUCIBLE, LLM_PROMPT_LOOKUP and LLM_STREAM_INTERVAL_MS, in seconds.
    """

    def __init__(
        self,
        artifact: ModelArtifact,
        *,
        max_batch: int,
        dtype: str = "auto",
        kv_cache_gb: float = 0.0,
        max_batched_tokens: int = 0,
        reproducible: bool = True,
        prompt_lookup: bool = True,
        stream_interval_s: float = 0.0,
        cache_dir: Path | None = None,
    ) -> None:
        shape = read_shape(artifact)
        self._properties, self._stream_interval_s = properties(dtype), stream_interval_s
        self._max_batch = max_batch
        self.batch_size = 0
        self._blocks = cache_blocks(shape, kv_cache_gb, memory_bytes())
        # One block stays free for the token that is being generated.
        context_length = min(shape.context_length, (self._blocks - 1) * BLOCK_TOKENS)
        fingerprint = model_fingerprint(artifact.path)
        self._path = openable(artifact.path, fingerprint, cache_dir)
        self._step_sizes = step_size.StepSizes(cache_dir)
        self._step_key = "/".join((fingerprint, openvino.__version__, *self._properties.values()))
        self._measure_step = not max_batched_tokens
        self.step_tokens = (
            max_batched_tokens or self._step_sizes.load(self._step_key) or step_size.guess(shape.weight_bytes)
        )
        try:
            self._lane = self._open_lane()
        except RuntimeError as error:
            raise ModelLoadError(_load_advice(artifact, error)) from error
        if not self._lane.tokenizer.chat_template:
            raise ModelLoadError(f"{artifact.model} has no chat template: choose an instruction-tuned model")
        self._control_tokens = _control_tokens(self._lane)
        # What a second pipeline needs for one conversation, and as much to find again of the last one.
        self._second_blocks = min(self._blocks, 2 * (context_length // BLOCK_TOKENS + 1))
        cache_bytes = self._second_blocks * BLOCK_TOKENS * shape.kv_elements_per_token * KV_BYTES_PER_ELEMENT
        needed = int(MODEL_IN_MEMORY * shape.weight_bytes + cache_bytes)
        lookup, solo = (
            SecondLane(self._open_lookup_lane, needed, "answers that repeat their sources"),
            SecondLane(self._open_solo_lane, needed, "requests with a seed"),
        )
        self.prompt_lookup = PromptLookup(lookup) if prompt_lookup else None
        self.solo = Solo(solo) if reproducible else None
        self.info = EngineInfo(
            backend="openvino",
            model=artifact.model,
            requested_model=artifact.requested_model,
            artifact=artifact.format,
            device="cpu",
            context_length=context_length,
            degraded=artifact.degraded,
            fingerprint=fingerprint,
        )

    def warm_up(self) -> None:
        """Generate a few tokens alone and side by side, since kernels are compiled for each of these
        shapes; measure a step, and build the pipeline anew if it takes too long or could be longer.
        """
        self._warm_up_lane()
        if not self._measure_step:
            return
        tokens = min(self.step_tokens, self.info.context_length - 1)
        seconds = step_size.measure(lambda prompt: self._lane.run_together([prompt], 1), tokens)
        better = step_size.better(tokens, seconds)
        logger.info("reading %d tokens takes %.0f ms", tokens, 1000 * seconds)
        if better is not None and better != self.step_tokens:
            logger.info("a step reads up to %d tokens from now on", better)
            self.step_tokens = better
            self._lane = self._open_lane()
            self._warm_up_lane()
        self._step_sizes.save(self._step_key, self.step_tokens)

    def submit(self, request: GenerationRequest | EmbeddingRequest) -> None:
        """Tokenize the conversation and hand it to a pipeline."""
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
        answer = Answer(
            request=request,
            prompt_ids=prompt_ids,
            text=TextAssembler(self._decode, request.sampling.stop, incremental=request.stream),
            max_new_tokens=min(request.sampling.max_new_tokens, room),
            inside_thought=begins_inside_thought(prompt_ids, self._decode),
        )
        if self.solo and self.solo.wants(request):
            self.solo.add(answer)
            return
        lookup = self.prompt_lookup.lane_for(request, self.running) if self.prompt_lookup else None
        (lookup or self._lane).add(answer)

    def cancel(self, request_id: str) -> None:
        """Drop a request and free what it holds; unknown ids are ignored."""
        if self.solo:
            self.solo.cancel(request_id)
        for lane in self._lanes:
            lane.cancel(request_id)

    def step(self) -> Sequence[RequestEvent]:
        """Run one step of each pipeline that has requests, and collect what every request got."""
        if self.solo and self.solo.waiting:
            self.solo.feed(self._lane)
            if not any(lane.running for lane in self._lanes):
                self.solo.second.wait(WAIT_S)
        observe = self.prompt_lookup.observe if self.prompt_lookup else lambda _: None
        busy = [lane for lane in self._lanes if lane.running]
        self.batch_size = sum(lane.running for lane in busy)
        return [event for lane in busy for event in lane.step(observe)]

    @property
    def running(self) -> int:
        """Requests under way or waiting for a pipeline of their own."""
        return sum(lane.running for lane in self._lanes) + (self.solo.waiting if self.solo else 0)

    @property
    def kv_cache_usage(self) -> float:
        """Share of the KV cache that answers hold, 0 to 1: of the pipeline where it is fullest."""
        return max(lane.cache_usage for lane in self._lanes)

    def close(self) -> None:
        """Cancel everything; the pipelines go with the process."""
        if self.solo:
            self.solo.clear()
        for lane in self._lanes:
            lane.close()

    @property
    def _lanes(self) -> list[Lane]:
        seconds = [user.second.lane for user in (self.prompt_lookup, self.solo) if user]
        return [self._lane, *(lane for lane in seconds if lane is not None)]

    def _open_lane(self) -> Lane:
        scheduler = scheduler_config(blocks=self._blocks, max_batch=self._max_batch, step_tokens=self.step_tokens)
        return self._lane_of(scheduler)

    def _open_lookup_lane(self) -> Lane:
        scheduler = scheduler_config(blocks=self._second_blocks, max_batch=1, step_tokens=self.step_tokens)
        return self._warmed(self._lane_of(scheduler, prompt_lookup=True))

    def _open_solo_lane(self) -> Lane:
        scheduler = scheduler_config(
            blocks=self._second_blocks, max_batch=1, step_tokens=self.step_tokens, prefix_caching=False
        )
        return self._warmed(self._lane_of(scheduler))

    def _lane_of(self, scheduler: Any, *, prompt_lookup: bool = False) -> Lane:
        pace = StreamPace(self._stream_interval_s)
        return Lane(self._path, scheduler, self._properties, pace, prompt_lookup=prompt_lookup)

    def _warmed(self, lane: Lane) -> Lane:
        lane.run_together([self._encode("1 2 3")], max_new_tokens=8)
        return lane

    def _warm_up_lane(self) -> None:
        tokens = self._encode("1 2 3")
        for together in (1, WARM_UP_BATCH):
            self._lane.run_together([tokens] * together, max_new_tokens=8)

    def _tokenize(self, request: GenerationRequest) -> list[int]:
        as_text = self._control_tokens.as_text
        history = [{"role": message.role, "content": as_text(message.content)} for message in request.messages]
        try:
            prompt = self._lane.tokenizer.apply_chat_template(
                history, add_generation_prompt=True, extra_context={"enable_thinking": request.enable_thinking}
            )
        except RuntimeError as error:
            raise RequestRejected(
                Failure.UNSUPPORTED,
                "messages: the model's chat template does not accept this sequence of messages",
            ) from error
        ids = self._encode(prompt)
        if len(ids) < self.info.context_length:
            return ids
        # The tokenizer of a GGUF file cuts at the model's context and says nothing; counted by
        # pieces, the number is right to within a token a piece.
        pieces = (prompt[at : at + PIECE_CHARACTERS] for at in range(0, len(prompt), PIECE_CHARACTERS))
        return [token for piece in pieces for token in self._encode(piece)]

    def _encode(self, text: str) -> list[int]:
        encoded = self._lane.tokenizer.encode(text, add_special_tokens=False, max_length=UNLIMITED).input_ids
        return [int(token) for token in encoded.data.reshape(-1)]

    def _decode(self, ids: list[int]) -> str:
        return self._lane.decode([ids])[0]


def _control_tokens(lane: Lane) -> ControlTokens:
    vocabulary = lane.tokenizer.get_vocab().items()
    return ControlTokens(((text.decode("utf-8", "replace"), token) for text, token in vocabulary), lane.decode)


def _load_advice(artifact: ModelArtifact, error: RuntimeError) -> str:
    return (
        f"OpenVINO could not load {artifact.model} ({last_line(error)}). "
        f"Check the file, or set LLM_BACKEND=transformers to use the other engine"
    )
