"""Places in llama.cpp's server: which slot takes a request, and when.

llama.cpp fills each step in the order of slots: first the next token of every answer, then prompts. A long prompt in a
low slot would keep every later one from being read, so long prompts take high slots and short ones low slots.

All requests share one KV cache. When it is full llama.cpp fails every request in it, so a request waits here until its
prompt and its longest answer fit beside those of the others. A free slot is empty: every step passes over the whole
cache, up to the highest cell in use.
"""

import asyncio
from dataclasses import dataclass

LANES = 4
"""Slots beyond the number of requests, so that long prompts find one above the short ones."""
LONG_STEPS = 4
"""A prompt of more steps than this is long."""


@dataclass(slots=True)
class Slot:
    """One slot; ``tokens`` is what its request may hold, 0 when it is free."""

    number: int
    tokens: int = 0


class Slots:
    """The slots of one server. Use from one event loop."""

    def __init__(self, count: int, kv_tokens: int, step_tokens: int) -> None:
        self._slots = [Slot(number) for number in range(count)]
        self._kv_tokens = kv_tokens
        self._long_tokens = LONG_STEPS * step_tokens
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()

    @property
    def used_tokens(self) -> int:
        """Tokens reserved by the running requests."""
        return sum(slot.tokens for slot in self._slots)

    def is_long(self, unread: float) -> bool:
        """Whether this many tokens of a prompt hold up the prompts in higher slots."""
        return unread > self._long_tokens

    async def take(self, unread: float, tokens: int) -> Slot:
        """Wait for a slot and for room for ``tokens`` in the KV cache, first come, first served.

        ``unread``: tokens of the prompt that have to be computed.
        """
        async with self._turn:
            while not (free := self._idle()) or self.used_tokens + tokens > self._kv_tokens:
                self._changed.clear()
                await self._changed.wait()
            slot = free[-1] if self.is_long(unread) else free[0]
            slot.tokens = tokens
            return slot

    def free(self, slot: Slot) -> None:
        """Give back a slot that holds nothing any more."""
        slot.tokens = 0
        self._changed.set()

    def _idle(self) -> list[Slot]:
        return [slot for slot in self._slots if not slot.tokens]
