"""A request inside the transformers engine."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import torch

from engines.errors import GenerationFailed
from engines.events import Failed, Finished, FinishReason, FirstToken, RequestEvent, TextDelta, TokenLogprob
from engines.requests import GenerationRequest
from engines.text_assembly import TextAssembler
from engines.transformers.constraints import Constraint


@dataclass(slots=True, eq=False)
class Row:
    """A request and its progress.

    Attributes:
        unread: token ids that the model has yet to read: what is left of the prompt, or the token chosen last.
        cache: its KV cache while it is in no batch.
        random: its own random sequence, on the CPU.
        thinking_budget: tokens after which its thought is closed; ``None`` when nothing is left to close.
        forced: tokens that come next regardless of the model.
        logprobs: of its tokens, where requested.

    """

    request: GenerationRequest
    prompt_ids: list[int]
    unread: deque[int]
    max_new_tokens: int
    text: TextAssembler
    random: torch.Generator
    begins_inside_thought: bool
    thinking_budget: int | None = None
    forced: deque[int] = field(default_factory=deque)
    constraint: Constraint | None = None
    logprobs: list[TokenLogprob] = field(default_factory=list)
    cache: Any = None
    _reported: int = 0

    @property
    def cached(self) -> int:
        """Tokens in its KV cache."""
        return len(self.prompt_ids) + self.text.token_count - len(self.unread)

    @property
    def most_tokens(self) -> int:
        """Tokens it may come to hold, its answer included."""
        return len(self.prompt_ids) + self.max_new_tokens

    @property
    def token_ids(self) -> list[int]:
        """Prompt and answer so far."""
        return self.prompt_ids + self.text.token_ids

    def take(self, token: int, stop_ids: frozenset[int]) -> list[RequestEvent]:
        """Add a token; return the events of it, the last one ``Finished`` where the answer ends."""
        request, text = self.request, self.text
        events: list[RequestEvent] = []
        if text.token_count == 0:
            events.append(FirstToken(request.id, self.begins_inside_thought))
        if self.constraint is not None:
            self.constraint.take(token)
        delta = text.push([token])
        reason = self._reason(token, stop_ids)
        if reason is not None:
            delta += text.finish()
        if delta and request.stream:
            events.append(TextDelta(request.id, delta, logprobs=tuple(self.logprobs[self._reported :])))
            self._reported = len(self.logprobs)
        if reason is not None:
            reason = "stop" if text.stopped else reason
            counts = (len(self.prompt_ids), text.token_count)
            events.append(Finished(request.id, text.text, reason, *counts, logprobs=tuple(self.logprobs)))
        self.unread = deque([token])
        return events

    def fail(self, message: str) -> Failed:
        """Return the event that ends the row without an answer."""
        return Failed(self.request.id, GenerationFailed(message))

    def _reason(self, token: int, stop_ids: frozenset[int]) -> FinishReason | None:
        if self.text.stopped or token in stop_ids or (self.constraint is not None and self.constraint.complete):
            return "stop"
        return "length" if self.text.token_count >= self.max_new_tokens else None
