"""An answer in an engine that computes tokens, and the events that report it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from engines.events import Finished, FinishReason, FirstToken, RequestEvent, TextDelta, TokenLogprob
from engines.requests import GenerationRequest
from engines.text_assembly import TextAssembler


@dataclass(slots=True, eq=False, kw_only=True)
class Answer:
    """A request and the text of its answer so far.

    Attributes:
        inside_thought: the prompt ended with an opened thought.
        logprobs: of its tokens, where requested.

    """

    request: GenerationRequest
    prompt_tokens: int
    max_new_tokens: int
    text: TextAssembler
    inside_thought: bool = False
    logprobs: list[TokenLogprob] = field(default_factory=list)
    _reported: int = 0
    """How many of them went out with a piece of text."""

    def add(self, token_ids: Sequence[int], *, ended: bool) -> list[RequestEvent]:
        """Add tokens, the last ones if the model has ``ended`` its answer. Return the events of them, the last one
        ``Finished`` where the answer ends.
        """
        request, text = self.request, self.text
        events: list[RequestEvent] = []
        if token_ids and text.token_count == 0:
            events.append(FirstToken(request.id, self.inside_thought))
        delta = text.push(token_ids)
        reason: FinishReason | None = "length" if text.token_count >= self.max_new_tokens else None
        if ended or text.stopped:
            reason = "stop"
        if reason is not None:
            delta += text.finish()
        if delta and request.stream:
            events.append(TextDelta(request.id, delta, logprobs=tuple(self.logprobs[self._reported :])))
            self._reported = len(self.logprobs)
        if reason is not None:
            reason = "stop" if text.stopped else reason
            counts = (self.prompt_tokens, text.token_count)
            events.append(Finished(request.id, text.text, reason, *counts, logprobs=tuple(self.logprobs)))
        return events
