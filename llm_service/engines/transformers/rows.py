"""A request inside the transformers engine."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import torch

from engines.answer import Answer
from engines.events import RequestEvent
from engines.transformers.constraints import Constraint


@dataclass(slots=True, eq=False, kw_only=True)
class Row(Answer):
    """A request and its progress.

    Attributes:
        unread: token ids that the model has yet to read: what is left of the prompt, or the token chosen last.
        cache: its KV cache while it is in no batch.
        random: its own random sequence, on the CPU.
        forced: tokens that come next regardless of the model.

    """

    unread: deque[int]
    random: torch.Generator
    forced: deque[int] = field(default_factory=deque)
    constraint: Constraint | None = None
    cache: Any = None

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
        return [*self.prompt_ids, *self.text.token_ids]

    def take(self, token: int, stop_ids: frozenset[int]) -> list[RequestEvent]:
        """Add a token; return the events of it, the last one ``Finished`` where the answer ends."""
        ended = token in stop_ids
        if self.constraint is not None:
            self.constraint.take(token)
            ended = ended or self.constraint.complete
        events = self.add([token], ended=ended)
        self.unread = deque([token])
        return events
