"""An answer in an engine that computes tokens, and the events that report it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from engines.errors import context_exceeded
from engines.events import Finished, FinishReason, FirstToken, RequestEvent, TextDelta, TokenLogprob
from engines.requests import GenerationRequest
from engines.text_assembly import TextAssembler


@dataclass(slots=True, eq=False, kw_only=True)
class Answer:
    """A request and the text of its answer so far.

    Attributes:
        inside_thought: the prompt ended with an opened thought.
        thinking_budget: tokens after which its thought is closed; ``None`` when nothing is left to close.
        logprobs: of its tokens, where requested.

    """

    request: GenerationRequest
    prompt_ids: Sequence[int]
    max_new_tokens: int
    text: TextAssembler
    inside_thought: bool = False
    thinking_budget: int | None = None
    logprobs: list[TokenLogprob] = field(default_factory=list)
    _reported: int = 0
    """How many of them went out with a piece of text."""

    def add(self, token_ids: Sequence[int], *, ended: bool) -> list[RequestEvent]:
        """Add tokens, the last ones if the model has ``ended`` its answer. Return the events of them, the last one
        ``Finished`` where the answer ends.
        """
        begins = token_ids and self.text.token_count == 0
        delta = self.text.push(token_ids)
        end: FinishReason | None = "length" if self.text.token_count >= self.max_new_tokens else None
        events = self.report(delta, "stop" if ended else end)
        return [FirstToken(self.request.id, self.inside_thought), *events] if begins else events

    def report(self, delta: str, end: FinishReason | None) -> list[RequestEvent]:
        """Return the events of a piece of text; ``end`` says why it is the last one, which a stop string overrules."""
        request, text = self.request, self.text
        events: list[RequestEvent] = []
        if end is not None:
            delta += text.finish()
        if text.stopped:
            end = "stop"
        if delta and request.stream:
            events.append(TextDelta(request.id, delta, logprobs=tuple(self.logprobs[self._reported :])))
            self._reported = len(self.logprobs)
        if end is not None:
            counts = (len(self.prompt_ids), text.token_count)
            events.append(Finished(request.id, text.text, end, *counts, logprobs=tuple(self.logprobs)))
        return events


def most_new_tokens(request: GenerationRequest, prompt_tokens: int, context_length: int) -> int:
    """Return the tokens that an answer may have; raises ``ContextLengthExceeded`` when there is no room for one."""
    room = context_length - prompt_tokens
    if room < 1:
        raise context_exceeded(prompt_tokens, context_length)
    return min(request.sampling.max_new_tokens, room)
