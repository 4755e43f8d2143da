"""One of OpenVINO GenAI's continuous batching pipelines and the answers under way in it."""

import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import openvino_genai

from engines.base import (
    EngineBroken,
    Failed,
    Failure,
    Finished,
    FinishReason,
    FirstToken,
    GenerationRequest,
    RequestEvent,
    RequestRejected,
    TextDelta,
)
from engines.openvino_options import LOOKUP_NGRAM, LOOKUP_TOKENS, generation_config
from engines.request_ids import http_request_of
from engines.stream_pace import StreamPace
from engines.text_assembly import TextAssembler

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Answer:
    """An answer under way. ``inside_thought``: its prompt ended with an opened thought."""

    request: GenerationRequest
    prompt_ids: list[int]
    text: TextAssembler
    max_new_tokens: int
    inside_thought: bool
    handle: Any = None
    end: FinishReason | None = None


class Lane:
    """A pipeline. Keep it in one thread.

    With ``prompt_lookup`` each step also tries the tokens that followed the last few ones where they
    occurred before, and keeps as many as the model would have written itself.
    """

    def __init__(
        self, path: Path, scheduler: Any, properties: dict[str, str], pace: StreamPace, *, prompt_lookup: bool = False
    ) -> None:
        options: dict[str, Any] = dict(properties)
        if prompt_lookup:
            options["prompt_lookup"] = True
        self._pipeline = openvino_genai.ContinuousBatchingPipeline(str(path), scheduler, "CPU", options)
        self._pace = pace
        self._prompt_lookup = prompt_lookup
        self._answers: dict[str, Answer] = {}
        self._ids = itertools.count(1)
        self.tokenizer = self._pipeline.get_tokenizer()

    @property
    def running(self) -> int:
        """Answers under way."""
        return len(self._answers)

    @property
    def cache_usage(self) -> float:
        """Share of the KV cache's blocks that answers held in the last step, 0 to 1."""
        return self._pipeline.get_metrics().cache_usage / 100 if self._answers else 0.0

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._answers

    def add(self, answer: Answer) -> None:
        """Begin an answer, or go on with one that has some of its tokens."""
        token_ids = [*answer.prompt_ids, *answer.text.token_ids]
        answer.handle = self._request(token_ids, answer.request, answer.max_new_tokens - answer.text.token_count)
        self._answers[answer.request.id] = answer

    def cancel(self, request_id: str) -> None:
        """Drop an answer and free its blocks; unknown ids are ignored."""
        answer = self._answers.pop(request_id, None)
        if answer is None:
            return
        answer.handle.cancel()
        if not self._answers:
            # Blocks are freed by a step, and nobody steps for an idle pipeline.
            self._drain()

    def step(self, on_finished: Callable[[Answer], None] = lambda _: None) -> list[RequestEvent]:
        """Run one step and return what every answer got from it."""
        try:
            self._pipeline.step()
        except RuntimeError as error:
            return self._recover(error)
        return list(self._collect(on_finished))

    def run_together(self, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> None:
        """Answer prompts side by side, for warming up. The lane must be idle."""
        # A request whose handle nobody holds vanishes.
        handles = [self._raw_request(ids, max_new_tokens) for ids in prompts]
        self._drain()
        for handle in handles:
            handle.read_all()

    def close(self) -> None:
        """Drop everything; the pipeline goes with the process."""
        for request_id in list(self._answers):
            self.cancel(request_id)

    def _raw_request(self, token_ids: Sequence[int], max_new_tokens: int) -> Any:
        config = self._with_lookup(self._pipeline.get_config())
        config.max_new_tokens = max_new_tokens
        config.ignore_eos = True
        return self._pipeline.add_request(next(self._ids), _tensor(token_ids), config)

    def _request(self, token_ids: Sequence[int], request: GenerationRequest, max_new_tokens: int) -> Any:
        number = next(self._ids)
        config = generation_config(self._pipeline.get_config(), request.sampling, max_new_tokens, any_seed=number)
        try:
            return self._pipeline.add_request(number, _tensor(token_ids), self._with_lookup(config))
        except RuntimeError as error:
            raise RequestRejected(Failure.GENERATION_FAILED, "the engine did not accept the request") from error

    def _with_lookup(self, config: Any) -> Any:
        if self._prompt_lookup:
            config.num_assistant_tokens = LOOKUP_TOKENS
            config.max_ngram_size = LOOKUP_NGRAM
        return config

    def _collect(self, on_finished: Callable[[Answer], None]) -> Iterator[RequestEvent]:
        """Read every handle, decode what is due of their new text in one call, and tell."""
        telling: list[Answer] = []
        all_due = self._pace.is_due(sum(answer.request.stream for answer in self._answers.values()))
        for answer in list(self._answers.values()):
            if answer.handle.get_status() == openvino_genai.GenerationStatus.IGNORED:
                del self._answers[answer.request.id]
                message = "the request does not fit the engine's memory (LLM_KV_CACHE_GB)"
                yield Failed(answer.request.id, Failure.GENERATION_FAILED, message)
                continue
            begins = answer.text.token_count == 0
            if _read_tokens(answer) and begins:
                yield FirstToken(answer.request.id, answer.inside_thought)
            # The first word waits for nothing, and a stop string ends an answer where it stands.
            if all_due or begins or answer.end or answer.request.sampling.stop:
                telling.append(answer)
        windows = [answer.text.window() or ([], []) for answer in telling]
        texts = iter(self.decode([ids for window in windows for ids in window]))
        for answer, known, extended in zip(telling, texts, texts, strict=False):
            yield from self._tell(answer, answer.text.read(known, extended) if extended else "", on_finished)

    def _tell(self, answer: Answer, delta: str, on_finished: Callable[[Answer], None]) -> Iterator[RequestEvent]:
        request, text = answer.request, answer.text
        if text.stopped:
            answer.handle.cancel()
            answer.end = "stop"
        elif answer.end:
            delta += text.finish()
        if delta and request.stream:
            yield TextDelta(request.id, delta)
        if answer.end:
            del self._answers[request.id]
            on_finished(answer)
            yield Finished(request.id, text.text, answer.end, len(answer.prompt_ids), text.token_count)

    def decode(self, sequences: list[list[int]]) -> list[str]:
        """Decode token sequences in one call, which costs hardly more than one of them does."""
        filled = [ids for ids in sequences if ids]
        texts = iter(self.tokenizer.decode(filled, skip_special_tokens=True) if filled else ())
        return [next(texts) if ids else "" for ids in sequences]

    def _recover(self, error: RuntimeError) -> list[RequestEvent]:
        """Bring the pipeline back after a step raised.

        The pipeline does not say which request made it raise, and refuses to go on with any that
        was part of that step. So all are cancelled; those with a schema, the known cause, fail, and
        the others are handed in again with what they have so far. When that does not help, or
        there was no suspect, the engine is given up.
        """
        concerned = [http_request_of(request_id) for request_id in self._answers]
        logger.warning("a generation step failed: %s", last_line(error), extra={"request_ids": concerned})
        suspects = [answer for answer in self._answers.values() if answer.request.sampling.json_schema is not None]
        innocent = [answer for answer in self._answers.values() if answer not in suspects]
        try:
            self.close()
        except RuntimeError as again:
            raise EngineBroken(last_line(again)) from again
        if not suspects:
            raise EngineBroken(last_line(error)) from error
        for answer in innocent:
            self.add(answer)
        message = "the engine could not follow this JSON schema"
        return [Failed(answer.request.id, Failure.GENERATION_FAILED, message) for answer in suspects]

    def _drain(self) -> None:
        while self._pipeline.has_non_finished_requests():
            self._pipeline.step()


def _tensor(token_ids: Sequence[int]) -> Any:
    return openvino.Tensor(np.array([token_ids], dtype=np.int64))


def _read_tokens(answer: Answer) -> bool:
    """Take the new tokens off an answer's handle; say whether there were any."""
    fresh: list[int] = []
    # The status comes first: tokens written between the two reads would be lost otherwise.
    over = answer.handle.get_status() != openvino_genai.GenerationStatus.RUNNING
    if answer.handle.can_read():
        for output in answer.handle.read().values():
            fresh.extend(output.generated_ids)
            if output.finish_reason == openvino_genai.GenerationFinishReason.LENGTH:
                answer.end = "length"
    if over and not answer.handle.can_read():
        answer.end = answer.end or "stop"
    answer.text.add(fresh)
    return bool(fresh)


def last_line(error: Exception) -> str:
    """Return the line of OpenVINO's messages that says what happened."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__
