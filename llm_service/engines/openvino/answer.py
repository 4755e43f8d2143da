"""An answer in OpenVINO's pipeline."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from engines.events import FinishReason, TokenLogprob
from engines.requests import GenerationRequest
from engines.text_assembly import TextAssembler

FAULTS = (RuntimeError, ValueError, TypeError, IndexError, OverflowError)
"""Exceptions that OpenVINO raises because of a request's content."""


@dataclass(slots=True, eq=False)
class Answer:
    """A running answer.

    Attributes:
        inside_thought: the prompt ended with an opened thought.
        handle: the pipeline's; ``None`` while the answer waits.
        begun: its first token was reported.
        replayed: tokens that a restarted answer must compute again before it continues.
        faults: failed steps that it took part in.
        safe_after: number of tokens beyond which it cannot have caused the last of them.
        base: tokens of its text that were handed in as part of a prompt.
        thinking_budget: tokens after which its thought is closed; ``None`` when nothing is left to close.
        logprobs: of its tokens, where requested; the first ``reported`` of them have been sent.

    """

    request: GenerationRequest
    prompt_ids: list[int]
    text: TextAssembler
    max_new_tokens: int
    inside_thought: bool
    handle: Any = None
    end: FinishReason | None = None
    begun: bool = False
    replayed: deque[int] = field(default_factory=deque)
    faults: int = 0
    safe_after: int = 0
    base: int = 0
    thinking_budget: int | None = None
    logprobs: list[TokenLogprob] = field(default_factory=list)
    reported: int = 0

    @property
    def resumable(self) -> bool:
        """Whether it continues from its tokens as it would have without a break: no state but the tokens."""
        sampling = self.request.sampling
        return self.request.grammar is None and (sampling.greedy or sampling.seed is None)

    @property
    def tokens(self) -> list[int]:
        """The tokens from which it begins or continues."""
        written = self.text.token_ids
        return [*self.prompt_ids, *(written if self.resumable else written[: self.base])]
