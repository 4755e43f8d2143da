"""OpenVINO GenAI's continuous batching pipeline and the answers in it."""

import itertools
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import openvino_genai

from engines.base import EngineBroken
from engines.errors import EngineRestarted, GenerationFailed, ServiceError
from engines.events import Failed, Finished, FirstToken, RequestEvent, TokenLogprob
from engines.openvino.answer import Answer
from engines.openvino.options import generation_config
from engines.openvino.prefill import Prefill
from engines.openvino.stream_pace import StreamPace
from engines.openvino.suspects import Suspects
from engines.prompts.thinking import CLOSING, is_open
from engines.requests import http_request_of

UNLIMITED = 2**31 - 1
FAULTS = (RuntimeError, ValueError, TypeError, IndexError, OverflowError)
"""Exceptions that OpenVINO raises because of a request's content."""

logger = logging.getLogger(__name__)


class Pipeline:
    """One pipeline, driven by one thread: ``_prefill`` plans its steps, ``_suspects`` run after one that raised."""

    def __init__(
        self, path: Path, scheduler: Any, properties: dict[str, Any], pace: StreamPace, step_tokens: int
    ) -> None:
        self._pipeline = openvino_genai.ContinuousBatchingPipeline(str(path), scheduler, "CPU", dict(properties))
        self._pace = pace
        self._ids = itertools.count(1)
        self._answers: dict[str, Answer] = {}
        """All answers, in order of arrival."""
        self._prefill = Prefill(step_tokens)
        self._suspects = Suspects()
        self._part: Any = None
        """Handle of a part of a long prompt, of the answer ``_part_of``."""
        self._part_of = ""
        self._filler: Any = None
        """Handle of a request whose tokens only round a step's length."""
        self.batch_size = 0
        """Requests that the last step computed together."""
        self.tokenizer = self._pipeline.get_tokenizer()
        self.vocabulary_size = max(self.tokenizer.get_vocab().values(), default=0) + 1

    @property
    def running(self) -> int:
        """Answers not ended."""
        return len(self._answers)

    @property
    def computing(self) -> int:
        """Requests in the batch now."""
        return len(self._in_batch) + (self._part is not None)

    @property
    def _in_batch(self) -> list[Answer]:
        return [answer for answer in self._answers.values() if answer.handle is not None]

    @property
    def cache_usage(self) -> float:
        """Share of the KV cache's blocks that answers held in the last step, 0 to 1."""
        return self._pipeline.get_metrics().cache_usage / 100 if self._answers else 0.0

    def add(self, answer: Answer) -> None:
        """Accept an answer; it begins with the next step."""
        self._answers[answer.request.id] = answer
        self._queue(answer)

    def cancel(self, request_id: str) -> None:
        """Drop an answer and free its blocks; unknown ids are ignored."""
        answer = self._answers.get(request_id)
        if answer is None:
            return
        self._remove(answer)
        if not self._answers:
            # Blocks are freed by a step, and an idle pipeline makes none.
            self._drain()

    def step(self) -> list[RequestEvent]:
        """Run one step and return the events of every answer; raises ``EngineBroken``."""
        events: list[RequestEvent] = list(self._begin())
        self.batch_size = self.computing
        if not self.batch_size:
            return events
        try:
            self._pipeline.step()
            if self._part is not None and self._part.get_status() != openvino_genai.GenerationStatus.RUNNING:
                self._part = None
        except FAULTS as error:
            return [*events, *self._recover(error)]
        finally:
            self._filler = None
        return [*events, *self._collect()]

    def run_together(self, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> None:
        """Answer prompts side by side, for warming up. The pipeline must be idle."""
        # The pipeline drops a request whose handle is released.
        handles = [self._raw_request(ids, max_new_tokens) for ids in prompts]
        self._drain()
        for handle in handles:
            handle.read_all()

    def decode(self, sequences: list[list[int]]) -> list[str]:
        """Decode token sequences in one call, which costs little more than decoding one."""
        filled = [ids for ids in sequences if ids]
        texts = iter(self.tokenizer.decode(filled, skip_special_tokens=True) if filled else ())
        return [next(texts) if ids else "" for ids in sequences]

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        """Return the tokens of a text, of any length."""
        encoded = self.tokenizer.encode(text, add_special_tokens=special, max_length=UNLIMITED).input_ids
        return [int(token) for token in encoded.data.reshape(-1)]

    def close(self) -> None:
        """Drop everything; the process frees the pipeline."""
        for request_id in list(self._answers):
            self.cancel(request_id)

    # --- beginning ------------------------------------------------------------------------------

    def _begin(self) -> Iterator[Failed]:
        """Hand to the pipeline what may run in the next step."""
        while (suspect := self._suspects.take()) is not None:
            yield from self._start(suspect)
        if self._suspects.alone is not None:
            return
        step = self._prefill.next_step(self.computing, part_runs=self._part is not None)
        for request_id in step.whole:
            yield from self._start(self._answers[request_id])
        if step.part is not None:
            self._part, self._part_of = self._raw_request(step.part.tokens, max_new_tokens=1), step.part.request_id
        if step.filling:
            # Another token each time, since the prefix cache would spare a known one.
            token = next(self._ids) % self.vocabulary_size
            self._filler = self._raw_request([token] * step.filling, max_new_tokens=1)

    def _queue(self, answer: Answer) -> None:
        self._prefill.add(answer.request.id, answer.tokens)

    def _start(self, answer: Answer) -> Iterator[Failed]:
        number, tokens = next(self._ids), answer.tokens
        room = answer.max_new_tokens - (len(tokens) - len(answer.prompt_ids))
        try:
            config = generation_config(self._pipeline.get_config(), answer.request, room, any_seed=number)
            answer.handle = self._pipeline.add_request(number, _tensor(tokens), config)
        except FAULTS as error:
            logger.warning("a request was refused by the pipeline: %s", last_line(error))
            yield self._fail(answer, "the engine did not accept the request")

    def _raw_request(self, token_ids: Sequence[int] | np.ndarray[Any, Any], max_new_tokens: int) -> Any:
        config = self._pipeline.get_config()
        config.max_new_tokens = max_new_tokens
        config.ignore_eos = True
        return self._pipeline.add_request(next(self._ids), _tensor(token_ids), config)

    # --- collecting -----------------------------------------------------------------------------

    def _collect(self) -> Iterator[RequestEvent]:
        """Read every handle, decode what is due of their new text in one call, and report it."""
        due: list[Answer] = []
        running = self._in_batch
        all_due = self._pace.is_due(sum(answer.request.stream for answer in running))
        for answer in running:
            try:
                begins = self._read(answer)
            except FAULTS as error:
                logger.warning("an answer could not be read: %s", last_line(error))
                begins = self._fail(answer, "the engine could not continue this answer")
            if isinstance(begins, Failed):
                yield begins
                continue
            if begins:
                yield FirstToken(answer.request.id, answer.inside_thought)
            # The first word is sent at once, and a stop string must end an answer where it occurs.
            if all_due or begins or answer.end or answer.request.sampling.stop:
                due.append(answer)
        windows = [answer.text.window() or ([], []) for answer in due]
        texts = self._decode_together(windows)
        for index, answer in enumerate(due):
            try:
                known, extended = texts[index] if texts else self.decode(list(windows[index]))
                events = answer.report(answer.text.read(known, extended) if extended else "", answer.end)
            except FAULTS as error:
                logger.warning("a text could not be assembled: %s", last_line(error))
                yield self._fail(answer, "the answer's tokens are not text")
                continue
            yield from events
            if events and isinstance(events[-1], Finished):
                self._remove(answer)
        if (cleared := self._suspects.cleared()) is not None:
            self._withdraw(cleared)
            self._suspects.drop(cleared)
            self._queue(cleared)

    def _read(self, answer: Answer) -> bool | Failed:
        """Take the new tokens off an answer's handle; return whether its first ones are among them."""
        # The status comes first: tokens written between the two reads would be lost otherwise.
        status = answer.handle.get_status()
        if status == openvino_genai.GenerationStatus.IGNORED:
            return self._fail(answer, "the request does not fit the engine's memory (LLM_MEMORY_GB)")
        fresh: list[int] = []
        if answer.handle.can_read():
            for output in answer.handle.read().values():
                fresh.extend(output.generated_ids)
                if answer.request.sampling.logprobs is not None:
                    self._note_logprobs(answer, output)
                if output.finish_reason == openvino_genai.GenerationFinishReason.LENGTH:
                    answer.end = "length"
        if status != openvino_genai.GenerationStatus.RUNNING and not answer.handle.can_read():
            answer.end = answer.end or "stop"
        while answer.replayed and fresh:
            if fresh.pop(0) != answer.replayed.popleft():
                return self._fail(answer, EngineRestarted("the engine lost this answer; try again"))
        begins = bool(fresh) and answer.text.token_count == 0
        answer.text.add(fresh)
        if answer.thinking_budget is not None and answer.end is None:
            self._bound_thought(answer, answer.thinking_budget)
        return begins

    def _bound_thought(self, answer: Answer, budget: int) -> None:
        """Close the answer's thought once its budget is spent, and let it continue from there."""
        text = answer.text
        if text.token_count < budget:
            return
        answer.thinking_budget = None
        if not is_open(self.decode([text.token_ids])[0], inside_thought=answer.inside_thought):
            return
        text.add(self.encode(CLOSING))
        if text.token_count >= answer.max_new_tokens:
            answer.end = "length"
            return
        answer.base = text.token_count
        self._withdraw(answer)
        self._queue(answer)

    def _note_logprobs(self, answer: Answer, output: Any) -> None:
        texts = self.decode([[token] for token in output.generated_ids])
        for text, logprob in zip(texts, output.generated_log_probs, strict=False):
            if text:  # the token that ends an answer has none
                answer.logprobs.append(TokenLogprob(text, float(logprob)))

    def _decode_together(self, windows: list[tuple[list[int], list[int]]]) -> list[tuple[str, str]] | None:
        """Return the texts of each window, or ``None`` when one of them cannot be decoded."""
        try:
            texts = self.decode([ids for window in windows for ids in window])
        except FAULTS:
            return None
        return list(zip(texts[::2], texts[1::2], strict=True))

    # --- ending ---------------------------------------------------------------------------------

    def _fail(self, answer: Answer, reason: str | ServiceError) -> Failed:
        self._remove(answer)
        return Failed(answer.request.id, GenerationFailed(reason) if isinstance(reason, str) else reason)

    def _remove(self, answer: Answer) -> None:
        self._answers.pop(answer.request.id, None)
        self._withdraw(answer)
        self._suspects.drop(answer)

    def _withdraw(self, answer: Answer) -> None:
        """Take an answer out of the pipeline."""
        self._prefill.drop(answer.request.id)
        if answer.handle is not None:
            answer.handle.cancel()
            answer.handle = None
        if self._part is not None and self._part_of == answer.request.id:
            self._part.cancel()
            self._part = None

    def _drain(self) -> None:
        while self._pipeline.has_non_finished_requests():
            self._pipeline.step()

    # --- after a step that raised ---------------------------------------------------------------

    def _recover(self, error: Exception) -> list[RequestEvent]:
        """Take everything out of the pipeline, which then works again. An answer that ran alone caused the error;
        several are run one at a time.
        """
        involved = self._in_batch
        if self._part is not None:
            involved.append(self._answers[self._part_of])
        concerned = [http_request_of(answer.request.id) for answer in involved]
        logger.warning("a generation step failed: %s", last_line(error), extra={"request_ids": concerned})
        try:
            for answer in involved:
                self._withdraw(answer)
            if self._filler is not None:
                self._filler.cancel()
            self._drain()
        except FAULTS as again:
            raise EngineBroken(last_line(again)) from again
        if len(involved) == 1:
            return [self._fail(involved[0], "the engine could not compute this answer")]
        if not self._suspects.add(involved):
            raise EngineBroken(last_line(error)) from error
        return []


def _tensor(token_ids: Sequence[int] | np.ndarray[Any, Any]) -> Any:
    return openvino.Tensor(np.array([token_ids], dtype=np.int64))


def last_line(error: Exception) -> str:
    """Return the line of OpenVINO's messages that says what happened."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__
