"""Copies of long prompts: a slot takes over what another one has read, instead of reading it again.

llama.cpp keeps a prefix in the slot that read it. Copying it through a file in memory takes milliseconds, where reading
it takes seconds (docs/decisions/0023-llamacpp-worker.md).
"""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from engines.errors import ServiceError
from engines.llamacpp.slots import Slot, Slots, share_of

COPIES = 2
LARGEST_SHARE = 0.125
"""Of the KV cache, in one copy."""
LEAST_GAIN = 0.25
"""Share of a prompt that a copy must spare beyond what the slot holds."""
TWIN_SHARE = 0.5

Act = Callable[[int, str, dict[str, Any]], Awaitable[None]]
"""Runs an action (save, restore, erase) on a slot; raises ``ServiceError``."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Copy:
    """A prompt in a file: its text, its tokens, when it was used last."""

    name: str
    text: str = ""
    tokens: int = 0
    last_used: int = 0


class Prefixes:
    """The copies of one server. Use from one event loop. Failures cost time only: the prompt is then read."""

    def __init__(self, slots: Slots, kv_tokens: int, act: Act) -> None:
        self._slots = slots
        self._act = act
        self._largest = int(kv_tokens * LARGEST_SHARE)
        self._copies = [Copy(f"{number}.bin") for number in range(COPIES)]
        self._being_read: list[tuple[str, asyncio.Event]] = []
        self._clock = itertools.count(1)

    async def wait_for_twin(self, text: str) -> None:
        """Wait while a prompt that begins like this one is being read."""
        while twin := next((done for read, done in self._being_read if share_of(text, read) >= TWIN_SHARE), None):
            await twin.wait()

    def best(self, text: str, prompt_tokens: int) -> tuple[float, Copy | None]:
        """Return the share of a prompt that a copy holds, and the copy. Copies of longer prompts do not count."""
        fitting = [copy for copy in self._copies if 0 < copy.tokens <= prompt_tokens * 1.25]
        shares = [(share_of(text, copy.text), copy) for copy in fitting]
        return max(shares, key=lambda each: each[0], default=(0.0, None))

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

    def worth_saving(self, prompt_tokens: int) -> bool:
        """Whether a copy of this size may be kept."""
        return prompt_tokens <= self._largest

    async def save(self, slot: Slot, text: str, tokens: int) -> None:
        """Copy the prompt that a slot has just read, over the copy that was used least recently."""
        copy = min(self._copies, key=lambda copy: copy.last_used)
        copy.text, copy.tokens, copy.last_used = "", 0, next(self._clock)
        with contextlib.suppress(ServiceError):
            await self._act(slot.number, "save", {"filename": copy.name})
            copy.text, copy.tokens = text, tokens

    async def restore(self, slot: Slot, copy: Copy) -> None:
        """Put a copy into a slot, which must be idle, after making room for it."""
        copy.last_used = next(self._clock)
        try:
            await self._empty(self._slots.crowding(copy.tokens))
            await self._act(slot.number, "restore", {"filename": copy.name})
        except ServiceError as error:
            logger.debug("a prefix could not be copied: %s", error)

    async def forget(self) -> None:
        """Empty the slots whose conversations are too old to be kept."""
        with contextlib.suppress(ServiceError):
            await self._empty(self._slots.surplus())

    async def _empty(self, slots: Sequence[Slot]) -> None:
        for slot in slots:
            if not slot.tokens:  # taken while another one was emptied
                with self._slots.held(slot):
                    await self._act(slot.number, "erase", {})
