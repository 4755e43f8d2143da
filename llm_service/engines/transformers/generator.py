"""Text generation with transformers: safetensors on a CPU or CUDA."""

import logging
import time
from collections import deque
from collections.abc import Sequence

import torch
from jinja2 import TemplateError

from config.settings import Settings
from engines.answer import most_new_tokens
from engines.base import EngineBroken
from engines.errors import GenerationFailed, Unsupported, unknown_token
from engines.events import Detokenized, Failed, Finished, RequestEvent, Tokenized, TokenLogprob
from engines.prompts.control_tokens import ControlTokens
from engines.prompts.prompt_bound import PromptBound
from engines.prompts.thinking import CLOSING, begins_inside_thought, budget_of, is_open
from engines.prompts.tools import in_words
from engines.requests import (
    ChatMessage,
    DetokenizeRequest,
    GenerationRequest,
    Request,
    SamplingParams,
    TokenizeRequest,
    http_request_of,
)
from engines.text_assembly import TextAssembler
from engines.transformers.batch import Batch
from engines.transformers.constraints import Constraints
from engines.transformers.loading import load
from engines.transformers.rows import Row
from engines.transformers.sampling import NextTokens, UnusableLogits, random_sequence
from models.artifacts import ModelArtifact
from models.fingerprint import model_fingerprint

PASS_S = 0.2
"""How long one pass over a prompt may take: a cancel, and a short prompt, wait for its end."""
SMALLEST_PART, LARGEST_PART = 16, 2048
"""Prompt tokens of one pass; a smaller one costs nearly as much as one of 16."""
OLDEST_EVERY = 4
"""One part in this many is of the oldest prompt, the others are of the shortest."""
REQUEST_ERRORS = (RuntimeError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, MemoryError)
"""Exceptions of model, sampling and decoding for one request; the libraries promise no narrower classes."""

logger = logging.getLogger(__name__)


class TransformersGenerator:
    """An ``Engine`` for generation requests.

    Each step reads parts of prompts, one row at a time, and then gives one token to each row of the batch; rows
    join the batch and leave it between two steps. A failed pass of one row fails that row; a failed pass of the
    batch is repeated row by row. ``loaded`` is public for benchmarks.
    """

    def __init__(self, artifact: ModelArtifact, settings: Settings) -> None:
        self.loaded = load(artifact, settings)
        tokenizer = self.loaded.tokenizer
        vocabulary = tokenizer.get_vocab()
        self._control_tokens = ControlTokens(
            vocabulary.items(), lambda ids: tokenizer.batch_decode(ids, skip_special_tokens=True)
        )
        self._max_rows = settings.llm_max_batch if self.loaded.batched else 1
        self._fixed_part = settings.llm_max_batched_tokens
        self._part = self._fixed_part or SMALLEST_PART
        self._parts_read = 0
        self._waiting: deque[Row] = deque()
        self._reading: list[Row] = []
        self._batch = Batch(self.loaded.model, batched=self.loaded.batched)
        self.batch_size = 0
        self.info = artifact.loaded(
            "transformers",
            device=str(self.loaded.model.device),
            context_length=self.loaded.context_length,
            fingerprint=model_fingerprint(artifact.path),
        )
        self._bound = PromptBound(vocabulary, self.info.context_length)
        self._constraints = Constraints(tokenizer, self.loaded.vocabulary, self.loaded.stop_ids)

    def warm_up(self) -> None:
        """Generate a few tokens after a prompt of a few parts, which finds how large a part may be."""
        sampling = SamplingParams(max_new_tokens=4, temperature=0.0, top_p=1.0)
        words = "1 2 3 " * min(64, self.info.context_length // 16)
        self.submit(GenerationRequest("warm-up", (ChatMessage("user", words),), sampling))
        while self.running:
            self.step()

    def submit(self, request: Request) -> None:
        """Tokenize the conversation and queue it."""
        assert isinstance(request, GenerationRequest)
        if request.sampling.logprobs:
            raise Unsupported("this engine reports log probabilities of chosen tokens only", field="top_logprobs")
        prompt_ids = self._tokenize(request)
        max_new_tokens = most_new_tokens(request, len(prompt_ids), self.info.context_length)
        if max(prompt_ids) >= self.loaded.vocabulary:
            # On CUDA the model would fail for every request.
            raise Unsupported("the conversation holds a token unknown to the model", field="messages")
        row = Row(
            request=request,
            prompt_ids=prompt_ids,
            unread=deque(prompt_ids),
            max_new_tokens=max_new_tokens,
            text=TextAssembler(self._decode, request.sampling.stop, incremental=request.stream),
            random=random_sequence(request.sampling.seed),
            inside_thought=begins_inside_thought(prompt_ids, self._decode),
            thinking_budget=budget_of(request, max_new_tokens),
            constraint=None if request.grammar is None else self._constraints.of(request.grammar),
        )
        self._waiting.append(row)

    def tokenize(self, request: TokenizeRequest) -> Tokenized:
        """Return the token ids of a text, or of a conversation's prompt."""
        if request.conversation is not None:
            return Tokenized(request.id, tuple(self._tokenize(request.conversation)))
        return Tokenized(request.id, tuple(self._encode(request.text, special=request.special)))

    def detokenize(self, request: DetokenizeRequest) -> Detokenized:
        """Return the text of token ids, control tokens included."""
        for token in request.tokens:
            if token >= self.loaded.vocabulary:
                raise unknown_token(token)
        return Detokenized(request.id, str(self.loaded.tokenizer.decode(list(request.tokens))))

    def cancel(self, request_id: str) -> None:
        """Drop a request."""
        self._drop([row for row in self._rows if row.request.id == request_id])

    def step(self) -> Sequence[RequestEvent]:
        """Read one long part of a prompt or a few short ones, then compute a token for each row of the batch."""
        while self._waiting and self._has_room_for(self._waiting[0]):
            self._reading.append(self._waiting.popleft())
        self.batch_size = max(len(self._batch.rows), min(1, len(self._reading)))
        events: list[RequestEvent] = []
        begun = time.perf_counter()
        while self._reading and time.perf_counter() - begun < PASS_S / 2:
            events.extend(self._read_part())
        if self._batch.rows:
            events.extend(self._step_batch())
        return events

    @property
    def running(self) -> int:
        """Requests waiting, being read or in the batch."""
        return len(self._rows)

    @property
    def kv_cache_usage(self) -> float:
        """Share of the KV cache that rows hold, 0 to 1."""
        rows = [*self._reading, *self._batch.rows]
        return min(1.0, len(rows) * max((row.cached for row in rows), default=0) / self.loaded.kv_tokens)

    def close(self) -> None:
        """Drop everything."""
        self._drop(self._rows)

    @property
    def _rows(self) -> list[Row]:
        return [*self._waiting, *self._reading, *self._batch.rows]

    def _drop(self, rows: Sequence[Row]) -> None:
        self._waiting = deque(row for row in self._waiting if row not in rows)
        self._reading = [row for row in self._reading if row not in rows]
        self._batch.leave([row for row in self._batch.rows if row in rows])

    def _has_room_for(self, row: Row) -> bool:
        rows = [row, *self._reading, *self._batch.rows]
        # In the batch every row takes as much of the KV cache as the longest one.
        return len(rows) == 1 or (
            len(rows) <= self._max_rows and len(rows) * max(row.most_tokens for row in rows) <= self.loaded.kv_tokens
        )

    def _read_part(self) -> list[RequestEvent]:
        """Read the next part of a prompt; its row joins the batch after the last one."""
        self._parts_read += 1
        oldest = self._parts_read % OLDEST_EVERY == 0
        row = self._reading[0] if oldest else min(self._reading, key=lambda row: len(row.unread))
        begun = time.perf_counter()
        # Equal parts: a small last one costs nearly as much as a large one.
        count = -(-len(row.unread) // -(-len(row.unread) // self._part))
        try:
            tokens = self._next_tokens(self._batch.read(row, count), [row])
            if not self._fixed_part and count > self._part // 2:
                self._resize_part(count, time.perf_counter() - begun)
            if row.unread:
                tokens.check(0)
                return []
            events, ended = self._advance([row], tokens)
            if not ended:
                self._batch.join(row)
        except REQUEST_ERRORS as error:
            events = [self._failure(row, error)]
        self._reading.remove(row)
        return events

    def _resize_part(self, count: int, seconds: float) -> None:
        fitting = int(count * PASS_S / max(seconds, 1e-6))
        self._part = max(SMALLEST_PART, min(LARGEST_PART, 2 * self._part, fitting))

    def _step_batch(self) -> list[RequestEvent]:
        rows = self._batch.rows
        try:
            tokens = self._next_tokens(self._batch.step(), rows)
        except REQUEST_ERRORS as error:
            return self._repeat_one_by_one(error)
        events, ended = self._advance(rows, tokens)
        self._batch.leave(ended)
        return events

    def _repeat_one_by_one(self, error: Exception) -> list[RequestEvent]:
        """After a failed pass of the batch, have its rows read alone, which fails the one that causes it. Out of
        memory, the longest row gives way.
        """
        failed: list[Row] = []
        if len(self._batch.rows) == 1 or isinstance(error, torch.OutOfMemoryError | MemoryError):
            failed = [max(self._batch.rows, key=lambda row: row.cached)]
        events: list[RequestEvent] = [self._failure(row, error) for row in failed]
        self._batch.leave(failed)
        if self._batch.rows:
            logger.warning("a pass of %d requests failed (%s); repeating it one by one", len(self._batch.rows), error)
            self._reading.extend(self._batch.dissolve())
        return events

    def _next_tokens(self, logits: torch.Tensor, rows: Sequence[Row]) -> NextTokens:
        penalty = self.loaded.repetition_penalty
        return NextTokens(logits, rows, top_k=self.loaded.top_k, repetition_penalty=penalty)

    def _advance(self, rows: Sequence[Row], tokens: NextTokens) -> tuple[list[RequestEvent], list[Row]]:
        """Give each row its token; return the events and the rows that have ended."""
        events: list[RequestEvent] = []
        ended: list[Row] = []
        for at, row in enumerate(rows):
            try:
                forced = self._forced(row)
                token = tokens.choose(at, row) if forced is None else forced
                if row.request.sampling.logprobs is not None and token not in self.loaded.stop_ids:
                    row.logprobs.append(TokenLogprob(self._decode([token]), tokens.logprob(at, token)))
                of_row = row.take(token, self.loaded.stop_ids)
            except REQUEST_ERRORS as error:
                of_row = [self._failure(row, error)]
            events.extend(of_row)
            if of_row and isinstance(of_row[-1], Finished | Failed):
                ended.append(row)
        return events, ended

    def _forced(self, row: Row) -> int | None:
        """Return the next of the tokens that close a thought, once its budget is spent."""
        if row.thinking_budget is not None and row.text.token_count >= row.thinking_budget:
            row.thinking_budget = None
            if is_open(self._decode(row.text.token_ids), inside_thought=row.inside_thought):
                row.forced.extend(self.loaded.tokenizer.encode(CLOSING, add_special_tokens=False))
        return row.forced.popleft() if row.forced else None

    def _failure(self, row: Row, error: Exception) -> Failed:
        if isinstance(error, torch.AcceleratorError):
            # The GPU's context is lost: only a new process helps.
            raise EngineBroken(f"the accelerator failed ({type(error).__name__})") from error
        logger.error("a request failed", exc_info=error, extra={"request_id": http_request_of(row.request.id)})
        reason = f"generation failed ({type(error).__name__})"
        if isinstance(error, UnusableLogits):
            reason = "the model computed no usable probabilities for this request"
        return Failed(row.request.id, GenerationFailed(reason))

    def _encode(self, text: str, *, special: bool) -> list[int]:
        ids: list[int] = self.loaded.tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"]
        return ids

    def _tokenize(self, request: GenerationRequest) -> list[int]:
        messages = in_words(request)
        self._bound.check(messages)
        if request.raw:
            return self._encode(request.messages[0].content, special=True)
        as_text = self._control_tokens.as_text
        history = [{"role": message.role, "content": as_text(message.content)} for message in messages]
        try:
            encoded = self.loaded.tokenizer.apply_chat_template(
                history,
                add_generation_prompt=not request.continues,
                continue_final_message=request.continues,
                tokenize=True,
                return_dict=True,
                enable_thinking=request.enable_thinking,
            )
        except (TemplateError, ValueError) as error:
            message = "the model's chat template does not accept this sequence of messages"
            raise Unsupported(message, field="messages") from error
        ids: list[int] = encoded["input_ids"]
        return ids

    def _decode(self, ids: list[int]) -> str:
        return str(self.loaded.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))
