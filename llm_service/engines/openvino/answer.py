"""An answer in OpenVINO's pipeline."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from engines import answer
from engines.events import FinishReason


@dataclass(slots=True, eq=False, kw_only=True)
class Answer(answer.Answer):
    """A running answer.

    Attributes:
        handle: the pipeline's; ``None`` while the answer waits.
        end: why it has ended.
        replayed: tokens that a restarted answer must compute again before it continues.
        faults: failed steps that it took part in.
        safe_after: number of tokens beyond which it cannot have caused the last of them.
        base: tokens of its text that were handed in as part of a prompt.

    """

    handle: Any = None
    end: FinishReason | None = None
    replayed: deque[int] = field(default_factory=deque)
    faults: int = 0
    safe_after: int = 0
    base: int = 0

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
