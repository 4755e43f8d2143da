"""Prompts of the next step: several short ones together, long ones in parts, so that short ones get their turn.

OpenVINO GenAI's scheduler reads prompts in the order of their arrival: a short one waits until a long one before it is
read. So a long prompt is submitted as growing prefixes, one a step. With the prefix cache each costs only its new
tokens, and requests that arrive in between are read first.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engines.openvino.memory import BLOCK_TOKENS

STEP_GRAIN = 8
"""A step that reads prompts has a multiple of this many tokens. OpenVINO compiles kernels for every length of a step
and keeps 1 to 2 MB of them for each, and other lengths take up to 1.5 times as long (docs/experiments.md)."""
REMEMBERED = 64
"""Prompts that are compared with later ones for common beginnings."""

Tokens = npt.NDArray[np.int64]


class Part(NamedTuple):
    """The beginning of a long prompt to submit, of which the prefix cache should have all but the last tokens."""

    request_id: str
    tokens: Tokens


class Step(NamedTuple):
    """What a step reads: prompts to submit whole, part of a long one, and ``filling`` tokens to round its length."""

    whole: list[str]
    part: Part | None
    filling: int


@dataclass(slots=True)
class Prompt:
    """A prompt on its way. ``read``: tokens at its beginning that the prefix cache should have."""

    request_id: str
    tokens: Tokens
    read: int = 0

    @property
    def left(self) -> int:
        """Tokens still to be read."""
        return len(self.tokens) - self.read


class Prefill:
    """Decides which prompts are read next, in steps of ``step_tokens``."""

    def __init__(self, step_tokens: int) -> None:
        self._step_tokens = step_tokens
        self._new: list[Prompt] = []
        self._long: list[Prompt] = []
        self._recent: deque[Tokens] = deque(maxlen=REMEMBERED)
        self._turns = 0
        self._deferred = False
        """Whether the last step left out the part of a long prompt."""

    def add(self, request_id: str, token_ids: Sequence[int]) -> None:
        """Queue a prompt."""
        self._new.append(Prompt(request_id, np.asarray(token_ids, dtype=np.int64)))

    def next_step(self, generating: int, *, part_runs: bool) -> Step:
        """Plan a step that also computes ``generating`` tokens; ``part_runs``: the last part is not read yet."""
        whole, reading = [], 0
        for prompt in self._new:
            prompt.read = max((_common_prefix(prompt.tokens, past) for past in self._recent), default=0)
            if prompt.left > self._step_tokens:
                self._long.append(prompt)
                continue
            self._recent.append(prompt.tokens)
            whole.append(prompt.request_id)
            reading += prompt.left
        self._new = []
        # A step that begins prompts leaves out the part of a long one, for an earlier first token; never two such steps
        # in a row, so that the long one proceeds.
        self._deferred = bool(whole) and not self._deferred
        part = None
        if self._long and not self._deferred and not part_runs:
            prompt = self._choose_long()
            begin = prompt.read
            # Whole blocks; one even in a step that is full.
            end = begin + max(self._step_tokens - generating - reading, BLOCK_TOKENS)
            prompt.read = min(end // BLOCK_TOKENS * BLOCK_TOKENS, len(prompt.tokens))
            reading += prompt.read - begin
            if prompt.left:
                part = Part(prompt.request_id, prompt.tokens[: prompt.read])
            else:
                self._long.remove(prompt)
                self._recent.append(prompt.tokens)
                whole.append(prompt.request_id)
        return Step(whole, part, -(generating + reading) % STEP_GRAIN if reading else 0)

    def drop(self, request_id: str) -> None:
        """Forget a prompt; unknown ids are ignored."""
        self._new = [prompt for prompt in self._new if prompt.request_id != request_id]
        self._long = [prompt for prompt in self._long if prompt.request_id != request_id]

    def _choose_long(self) -> Prompt:
        """Return the prompt with the fewest tokens left; every other time the oldest, so that none waits for ever."""
        self._turns += 1
        return self._long[0] if self._turns % 2 else min(self._long, key=lambda prompt: prompt.left)


def _common_prefix(one: Tokens, other: Tokens) -> int:
    length = min(len(one), len(other))
    different = np.flatnonzero(one[:length] != other[:length])
    return int(different[0]) if len(different) else length
