"""OpenVINO GenAI's continuous batching pipeline and the answers in it."""

import itertools
import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import openvino_genai

from engines.base import EngineBroken
from engines.errors import EngineRestarted, GenerationFailed, ServiceError
from engines.events import Failed, Finished, FirstToken, RequestEvent, TextDelta, TokenLogprob
from engines.openvino.answer import FAULTS, Answer
from engines.openvino.options import generation_config
from engines.openvino.prefill import Prefill
from engines.openvino.stream_pace import StreamPace
from engines.prompts.thinking import CLOSING, is_open
from engines.requests import http_request_of

UNLIMITED = 2**31 - 1
STEP_GRAIN = 8
"""A step that reads prompts has a multiple of this many tokens. OpenVINO compiles kernels for every length of a step
and keeps 1 to 2 MB of them for each, and other lengths take up to 1.5 times as long (docs/experiments.md)."""
MOST_FAULTS = 3
"""Failed steps that an answer may take part in; beyond that, no single answer is the cause."""

logger = logging.getLogger(__name__)


class Pipeline:
    """One pipeline, driven by one thread.

    After a step that raised, its answers are run one at a time; the one that raises again fails.
    """

    def __init__(
        self, path: Path, scheduler: Any, properties: dict[str, Any], pace: StreamPace, step_tokens: int
    ) -> None:
        self._pipeline = openvino_genai.ContinuousBatchingPipeline(str(path), scheduler, "CPU", dict(properties))
        self._pace = pace
        self._step_tokens = step_tokens
        self._ids = itertools.count(1)
        self._answers: dict[str, Answer] = {}
        """All answers, in order of arrival."""
        self._waiting: deque[Answer] = deque()
        self._prefill = Prefill()
        self._part: Any = None
        """Handle of a part of a long prompt, of the answer ``_part_of``."""
        self._part_of = ""
        self._filler: Any = None
        """Handle of a request whose tokens only round a step's length."""
        self._deferred = False
        """Whether the last step left out the part of a long prompt."""
        self._suspects: deque[Answer] = deque()
        self._suspect: Answer | None = None
        """The answer that runs alone."""
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
        self._waiting.append(answer)

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
        while self._suspect is None and self._suspects:
            self._suspect = self._suspects.popleft()
            yield from self._start([self._suspect])
        if self._suspect is not None:
            return
        generating, reading = self.computing, 0
        ready: list[Answer] = []
        while self._waiting:
            answer = self._waiting.popleft()
            new = self._prefill.take(answer.request.id, answer.tokens, self._step_tokens)
            if new <= self._step_tokens:
                ready.append(answer)
                reading += new
        yield from self._start(ready)
        # A step that begins prompts leaves out the part of a long one, for an earlier first token; never two such steps
        # in a row, so that the long one proceeds.
        self._deferred = bool(ready) and not self._deferred
        if not self._deferred and self._part is None:
            room = self._step_tokens - generating - reading
            if (part := self._prefill.next_part(room)) is not None:
                reading += part.new
                answer = self._answers[part.request_id]
                if part.is_last:
                    yield from self._start([answer])
                else:
                    self._part, self._part_of = self._raw_request(part.tokens, max_new_tokens=1), part.request_id
        if reading and (missing := -(generating + reading) % STEP_GRAIN):
            # Another token each time, since the prefix cache would spare a known one.
            token = next(self._ids) % self.vocabulary_size
            self._filler = self._raw_request([token] * missing, max_new_tokens=1)

    def _start(self, answers: Iterable[Answer]) -> Iterator[Failed]:
        for answer in answers:
            try:
                answer.handle = self._request(answer)
            except FAULTS as error:
                logger.warning("a request was refused by the pipeline: %s", last_line(error))
                yield self._fail(answer, "the engine did not accept the request")

    def _request(self, answer: Answer) -> Any:
        number = next(self._ids)
        tokens = answer.tokens
        room = answer.max_new_tokens - (len(tokens) - len(answer.prompt_ids))
        config = generation_config(self._pipeline.get_config(), answer.request, room, any_seed=number)
        return self._pipeline.add_request(number, _tensor(tokens), config)

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
                fresh = self._read(answer)
            except FAULTS as error:
                logger.warning("an answer could not be read: %s", last_line(error))
                yield self._fail(answer, "the engine could not continue this answer")
                continue
            if isinstance(fresh, Failed):
                yield fresh
                continue
            begins = fresh and not answer.begun
            if begins:
                answer.begun = True
                yield FirstToken(answer.request.id, answer.inside_thought)
            # The first word is sent at once, and a stop string must end an answer where it occurs.
            if all_due or begins or answer.end or answer.request.sampling.stop:
                due.append(answer)
        windows = [answer.text.window() or ([], []) for answer in due]
        texts = self._decode_together(windows)
        for index, answer in enumerate(due):
            try:
                known, extended = texts[index] if texts else self.decode(list(windows[index]))
                yield from self._report(answer, answer.text.read(known, extended) if extended else "")
            except FAULTS as error:
                logger.warning("a text could not be assembled: %s", last_line(error))
                yield self._fail(answer, "the answer's tokens are not text")
        self._release_suspect()

    def _read(self, answer: Answer) -> bool | Failed:
        """Take the new tokens off an answer's handle; return whether there were any."""
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
        answer.text.add(fresh)
        if answer.thinking_budget is not None and answer.end is None:
            self._bound_thought(answer, answer.thinking_budget)
        return bool(fresh)

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
        self._waiting.append(answer)

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

    def _report(self, answer: Answer, delta: str) -> Iterator[RequestEvent]:
        request, text = answer.request, answer.text
        if text.stopped:
            answer.end = "stop"
        elif answer.end:
            delta += text.finish()
        if delta and request.stream:
            yield TextDelta(request.id, delta, logprobs=tuple(answer.logprobs[answer.reported :]))
            answer.reported = len(answer.logprobs)
        if answer.end:
            self._remove(answer)
            counts = (len(answer.prompt_ids), text.token_count)
            yield Finished(request.id, text.text, answer.end, *counts, logprobs=tuple(answer.logprobs))

    # --- ending ---------------------------------------------------------------------------------

    def _fail(self, answer: Answer, reason: str | ServiceError) -> Failed:
        self._remove(answer)
        return Failed(answer.request.id, GenerationFailed(reason) if isinstance(reason, str) else reason)

    def _remove(self, answer: Answer) -> None:
        self._answers.pop(answer.request.id, None)
        self._withdraw(answer)
        if self._suspect is answer:
            self._suspect = None
        for queue in (self._waiting, self._suspects):
            if answer in queue:
                queue.remove(answer)

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
        """Take everything out of the pipeline, which then works again, and find the answer that caused the error.

        The pipeline does not name it. An answer that ran alone caused it; several are run one at a time, those that
        cannot resume first.
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
        for answer in involved:
            answer.faults += 1
            answer.safe_after = answer.text.token_count
            if not answer.resumable:
                answer.replayed = deque(answer.text.token_ids[answer.base :])
        if not involved or max(answer.faults for answer in involved) > MOST_FAULTS:
            raise EngineBroken(last_line(error)) from error
        self._suspects.extend(sorted(involved, key=lambda answer: answer.resumable))
        return []

    def _release_suspect(self) -> None:
        """Let an answer that is past the failed step wait for the others; one that cannot continue runs to its end."""
        suspect = self._suspect
        if suspect is not None and suspect.resumable and suspect.text.token_count > suspect.safe_after:
            self._withdraw(suspect)
            self._waiting.append(suspect)
            self._suspect = None


def _tensor(token_ids: Sequence[int] | np.ndarray[Any, Any]) -> Any:
    return openvino.Tensor(np.array([token_ids], dtype=np.int64))


def last_line(error: Exception) -> str:
    """Return the line of OpenVINO's messages that says what happened."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__
