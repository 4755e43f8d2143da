"""Copies of conversations: a slot takes over what another request has computed, instead of reading it again.

llama.cpp keeps a conversation in the slot that computed it, where it slows down every step. Copying it through a file
in memory takes milliseconds, where reading it takes seconds (docs/decisions/0023-llamacpp-worker.md).
"""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.errors import ServiceError
from engines.llamacpp.endpoint import Endpoint
from engines.llamacpp.slots import Slot

LARGEST_SHARE = 0.5
"""Of all copies, in one of them."""
LEAST_GAIN = 0.25
"""Share of a prompt that a copy must spare, and of a conversation that no copy holds before it is copied."""
LEAST_SHARE = 0.1
TWIN_SHARE = 0.5

Act = Callable[[int, str, dict[str, Any]], Awaitable[None]]
"""Runs an action (save, restore, erase) on a slot; raises ``ServiceError``."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Copy:
    """A conversation in a file: its text, its tokens, when it was used last."""

    name: str
    text: str
    tokens: int
    last_used: int


class Prefixes:
    """The copies of one server. Use from one event loop. Failures cost time only: the prompt is then read."""

    def __init__(self, endpoint: Endpoint, act: Act) -> None:
        self._folder = Path(endpoint.folder)
        self._act = act
        self._room = endpoint.copies_tokens
        self._step_tokens = endpoint.step_tokens
        self._copies: list[Copy] = []
        self._being_read: list[tuple[str, asyncio.Event]] = []
        self._clock = itertools.count(1)

    async def wait_for_twin(self, text: str) -> None:
        """Wait while a prompt that begins like this one is being read."""
        while twin := next((done for read, done in self._being_read if share_of(text, read) >= TWIN_SHARE), None):
            await twin.wait()

    def best(self, text: str, tokens: int) -> tuple[float, Copy | None]:
        """Return the share of a text that a copy holds, and the copy. Copies of longer texts do not count."""
        fitting = [copy for copy in self._copies if copy.tokens <= tokens * 1.25]
        shares = [(share_of(text, copy.text), copy) for copy in fitting]
        share, copy = max(shares, key=lambda each: each[0], default=(0.0, None))
        return (share, copy) if share > LEAST_GAIN else (0.0, None)

    @contextlib.contextmanager
    def reading(self, text: str) -> Iterator[None]:
        """Hold back prompts that begin like this one."""
        reader = (text, asyncio.Event())
        self._being_read.append(reader)
        try:
            yield
        finally:
            self._being_read.remove(reader)
            reader[1].set()

    def worth_saving(self, text: str, tokens: int) -> bool:
        """Whether a text of this size takes time to read, may be kept and is not held already."""
        return self._step_tokens < tokens <= self._room * LARGEST_SHARE and self.best(text, tokens)[0] < 1 - LEAST_GAIN

    async def save(self, slot: Slot, text: str, tokens: int) -> None:
        """Copy what a slot holds; the copies that were used least recently go."""
        copy = Copy(f"{next(self._clock)}.bin", text, tokens, next(self._clock))
        try:
            await self._act(slot.number, "save", {"filename": copy.name})
        except ServiceError as error:
            logger.debug("a conversation could not be copied: %s", error)
            return
        self._copies.append(copy)
        while sum(copy.tokens for copy in self._copies) > self._room:
            oldest = min(self._copies, key=lambda copy: copy.last_used)
            self._copies.remove(oldest)
            (self._folder / oldest.name).unlink(missing_ok=True)

    async def restore(self, slot: Slot, copy: Copy) -> None:
        """Put a copy into an empty slot."""
        copy.last_used = next(self._clock)
        try:
            await self._act(slot.number, "restore", {"filename": copy.name})
        except ServiceError as error:
            logger.debug("a conversation could not be restored: %s", error)


def share_of(text: str, held: str) -> float:
    """Return the share of ``text`` that ``held`` begins with; 0 for a beginning that any two conversations share."""
    share = common_prefix(held, text) / max(len(text), 1)
    return share if share > LEAST_SHARE else 0.0


def common_prefix(one: str, other: str) -> int:
    """Return the length of the longest common prefix, in characters."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
