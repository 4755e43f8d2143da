"""Long prompts read in parts, so that short ones get their turn between them.

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

REMEMBERED = 64
"""Prompts that are compared with later ones for common beginnings."""

Tokens = npt.NDArray[np.int64]


class Part(NamedTuple):
    """The beginning of a long prompt to submit next, with ``new`` tokens that the prefix cache does not have."""

    request_id: str
    tokens: Tokens
    new: int
    is_last: bool


@dataclass(slots=True)
class Reading:
    """A long prompt on its way. ``read``: tokens at its beginning that the prefix cache should have."""

    request_id: str
    tokens: Tokens
    read: int

    @property
    def left(self) -> int:
        """Tokens still to be read."""
        return len(self.tokens) - self.read


class Prefill:
    """Decides which part of which long prompt is read next."""

    def __init__(self) -> None:
        self._readings: list[Reading] = []
        self._recent: deque[Tokens] = deque(maxlen=REMEMBERED)
        self._turns = 0

    def take(self, request_id: str, token_ids: Sequence[int], room: int) -> int:
        """Take a prompt to be read in parts, if more of it than ``room`` tokens is new; return its new tokens."""
        tokens = np.asarray(token_ids, dtype=np.int64)
        known = max((_common_prefix(tokens, past) for past in self._recent), default=0)
        new = len(tokens) - known
        if new > room:
            self._readings.append(Reading(request_id, tokens, known))
        else:
            self._recent.append(tokens)
        return new

    def next_part(self, room: int) -> Part | None:
        """Return whose part is next and the beginning to submit, whole blocks with about ``room`` new tokens.

        The whole prompt when that is its last part, which is then forgotten here. Every other part belongs to the
        prompt with the fewest tokens left, the others to the oldest, so that none waits for ever.
        """
        if not self._readings:
            return None
        self._turns += 1
        reading = self._readings[0] if self._turns % 2 else min(self._readings, key=lambda each: each.left)
        begin = reading.read
        end = max(begin + room, begin + BLOCK_TOKENS) // BLOCK_TOKENS * BLOCK_TOKENS
        is_last = end >= len(reading.tokens)
        if is_last:
            self._readings.remove(reading)
            self._recent.append(reading.tokens)
        reading.read = min(end, len(reading.tokens))
        return Part(reading.request_id, reading.tokens[:end], reading.read - begin, is_last)

    def drop(self, request_id: str) -> None:
        """Forget a prompt; unknown ids are ignored."""
        self._readings = [reading for reading in self._readings if reading.request_id != request_id]


def _common_prefix(one: Tokens, other: Tokens) -> int:
    length = min(len(one), len(other))
    different = np.flatnonzero(one[:length] != other[:length])
    return int(different[0]) if len(different) else length
