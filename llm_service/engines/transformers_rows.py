"""A request inside the transformers engine, and what carries requests through the model."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from engines.base import (
    Failed,
    Failure,
    Finished,
    FinishReason,
    FirstToken,
    GenerationRequest,
    RequestEvent,
    TextDelta,
)
from engines.text_assembly import TextAssembler
from engines.transformers_sampling import RowSampler

UNUSABLE = "the model computed no usable probabilities for this request"


@dataclass(slots=True, eq=False)
class Row:
    """A request and how far it has come. ``cancelled`` is set by the engine's thread and read by the
    runner's, ``unusable`` the other way round; everything else belongs to whoever takes the tokens once
    the row has been added.
    """

    request: GenerationRequest
    prompt_ids: list[int]
    max_new_tokens: int
    text: TextAssembler
    sampler: RowSampler
    begins_inside_thought: bool = False
    cancelled: bool = field(default=False)
    unusable: bool = field(default=False)
    ended: bool = field(default=False)

    def take(self, token: int, stop_ids: frozenset[int]) -> list[RequestEvent]:
        """Add a token; return what the caller hears of it."""
        request, text = self.request, self.text
        events: list[RequestEvent] = []
        if text.token_count == 0:
            events.append(FirstToken(request.id, self.begins_inside_thought))
        delta = text.push([token])
        reason = self._reason(token, stop_ids)
        if reason is not None:
            delta += text.finish()
        if delta and request.stream:
            events.append(TextDelta(request.id, delta))
        if reason is not None:
            self.ended = True
            reason = "stop" if text.stopped else reason
            events.append(Finished(request.id, text.text, reason, len(self.prompt_ids), text.token_count))
        return events

    def fail(self, message: str) -> Failed:
        """End the row without an answer."""
        self.ended = True
        return Failed(self.request.id, Failure.GENERATION_FAILED, message)

    def _reason(self, token: int, stop_ids: frozenset[int]) -> FinishReason | None:
        if self.text.stopped or token in stop_ids:
            return "stop"
        return "length" if self.text.token_count >= self.max_new_tokens else None


class Runner(Protocol):
    """Carries rows through the model, in a thread of its own. ``context_length`` is how many tokens one
    row may have, its answer included.
    """

    context_length: int

    def add(self, row: Row) -> None:
        """Take a row on."""
        ...

    def cancel(self, row: Row) -> None:
        """Stop working on a row as soon as that is possible."""
        ...

    def collect(self, timeout_s: float) -> Sequence[tuple[Row, RequestEvent]]:
        """Return what has come of the rows, waiting ``timeout_s`` seconds when that is nothing yet; raise
        ``EngineBroken`` when nothing more will.
        """
        ...

    @property
    def batch_size(self) -> int:
        """Rows that are in the model together."""
        ...

    @property
    def kv_cache_usage(self) -> float | None:
        """Share of the KV cache that rows hold, 0 to 1; ``None`` where there is no fixed one."""
        ...

    def close(self) -> None:
        """End the thread."""
        ...
