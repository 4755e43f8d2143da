"""Places in llama.cpp's server: which slot takes a request, and when.

llama.cpp fills each step in the order of slots: first the next token of every answer, then prompts. A long prompt in a
low slot would keep every later one from being read, so long prompts take high slots and short ones low slots, and
``LANES`` slots at the top are for long prompts alone. Among the allowed slots the one that holds the longest common
prefix is chosen, since its tokens need not be computed again.

All requests share one KV cache. When it is full llama.cpp fails every request in it, so a request waits here until its
prompt and its longest answer fit beside those of the others.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

LANES = 4
LONG_STEPS = 4
"""A prompt of more steps than this is long."""
LEAST_SHARE = 0.1
IDLE_TOKENS = 4096
"""Tokens of earlier conversations to keep: attention passes over them in every step."""


@dataclass(slots=True)
class Slot:
    """One slot.

    Attributes:
        text: the conversation in its part of the KV cache.
        kept: tokens of that conversation, an upper bound.
        tokens: what its request may hold; 0 when it is free.
        reads_long: it reads a long prompt.

    """

    number: int
    text: str = ""
    kept: int = 0
    tokens: int = 0
    reads_long: bool = False
    last_used: int = 0


class Slots:
    """The slots of one server. Use from one event loop."""

    def __init__(self, count: int, kv_tokens: int, step_tokens: int) -> None:
        self._slots = [Slot(number) for number in range(count)]
        self._lanes = min(LANES, count - 1)
        self._kv_tokens = kv_tokens
        self._long_tokens = LONG_STEPS * step_tokens
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self._clock = itertools.count(1)

    @property
    def used_tokens(self) -> int:
        """Tokens reserved by the running requests."""
        return sum(slot.tokens for slot in self._slots)

    async def take(self, text: str, prompt_tokens: int, tokens: int, copied: float = 0.0) -> Slot:
        """Wait for a slot and for room for ``tokens`` in the KV cache, first come, first served.

        ``copied``: share of the prompt that can be copied into any slot.
        """
        async with self._turn:
            while (slot := self._choose(text, prompt_tokens, tokens, copied)) is None:
                self._changed.clear()
                await self._changed.wait()
            slot.tokens = tokens
            return slot

    def prompt_read(self, slot: Slot) -> None:
        """Note that the slot's prompt is read: it no longer holds up others."""
        slot.reads_long = False

    def free(self, slot: Slot, text: str, kept: int) -> None:
        """Give a slot back; ``text`` is the conversation of ``kept`` tokens that it now holds."""
        slot.text, slot.kept, slot.tokens = text, kept, 0
        slot.reads_long, slot.last_used = False, next(self._clock)
        self._changed.set()

    def crowding(self, tokens: int) -> list[Slot]:
        """Return the idle slots to empty so that ``tokens`` more fit into a slot that is taken."""
        return self._idle_beyond(self._kv_tokens - self.used_tokens - tokens)

    def surplus(self) -> list[Slot]:
        """Return the idle slots to empty so that at most ``IDLE_TOKENS`` stay."""
        return self._idle_beyond(IDLE_TOKENS)

    def _idle_beyond(self, allowed: int) -> list[Slot]:
        """Return idle slots, least recently used first, without which the others hold at most ``allowed`` tokens."""
        idle = sorted((slot for slot in self._slots if not slot.tokens and slot.kept), key=lambda slot: slot.last_used)
        excess = sum(slot.kept for slot in idle) - allowed
        victims = []
        for slot in idle:
            if excess <= 0:
                break
            victims.append(slot)
            excess -= slot.kept
        return victims

    @contextlib.contextmanager
    def held(self, slot: Slot) -> Iterator[None]:
        """Keep a free slot from being taken while it is emptied."""
        slot.tokens = 1
        try:
            yield
        finally:
            self.free(slot, "", 0)

    def _choose(self, text: str, prompt_tokens: int, tokens: int, copied: float) -> Slot | None:
        free = [slot for slot in self._slots if not slot.tokens]
        if not free or self.used_tokens + tokens > self._kv_tokens:
            return None
        kept = {slot.number: max(copied, share_of(text, slot.text)) for slot in free}
        # Below a long prompt that is being read; reading this one takes few steps.
        last = min((slot.number for slot in self._slots if slot.reads_long), default=len(self._slots))
        quick = [slot for slot in free if prompt_tokens * (1 - kept[slot.number]) <= self._long_tokens]
        if below := [slot for slot in quick if slot.number < last]:
            return max(below, key=lambda slot: (kept[slot.number], slot.number < self._lowest_lane, -slot.last_used))
        if quick:
            return max(quick, key=lambda slot: (kept[slot.number], -slot.number))
        chosen = max(free, key=lambda slot: (slot.number >= self._lowest_lane, kept[slot.number], slot.number))
        chosen.reads_long = True
        return chosen

    @property
    def _lowest_lane(self) -> int:
        return len(self._slots) - self._lanes


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
