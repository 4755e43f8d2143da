"""Splits a model's text into thought and answer."""

from collections.abc import Iterator
from typing import Literal

from engines.prompts.thinking import THOUGHT_BEGINS, THOUGHT_ENDS

Part = tuple[Literal["thought", "answer"], str]


class ThoughtSplitter:
    """Splits a streamed text into a leading thought and the answer after it.

    Only a text that begins with ``<think>``, or whose prompt ended with it (``inside_thought``), has
    a thought; other tags are part of the answer. Tags may be split across pieces. A text that ends
    inside the thought has no answer. White space next to the tags belongs to neither part.
    """

    def __init__(self, *, inside_thought: bool = False) -> None:
        self._inside_thought = inside_thought
        self._state: Literal["start", "thought", "answer"] = "start"
        self._at_edge = False
        """Whether only white space has followed the last tag."""
        self._pending = ""

    def push(self, text: str) -> Iterator[Part]:
        """Add a piece; yield the parts that are unambiguous now."""
        self._pending += text
        if self._state == "start":
            self._leave_start()
        if self._state == "thought":
            yield from self._advance_thought()
        if self._state == "answer":
            yield from self._take("answer", len(self._pending))

    def finish(self) -> Iterator[Part]:
        """Yield the rest; call once, at the end."""
        inside = self._state == "thought" or (self._state == "start" and self._inside_thought)
        yield from self._take("thought" if inside else "answer", len(self._pending))

    def _leave_start(self) -> None:
        visible = self._pending.lstrip()
        if visible.startswith(THOUGHT_BEGINS):
            self._state, self._at_edge = "thought", True
            self._pending = visible.removeprefix(THOUGHT_BEGINS)
        elif not THOUGHT_BEGINS.startswith(visible):
            self._state, self._at_edge = ("thought", True) if self._inside_thought else ("answer", False)

    def _advance_thought(self) -> Iterator[Part]:
        end = self._pending.find(THOUGHT_ENDS)
        if end < 0:
            yield from self._take("thought", len(self._pending) - held_back(self._pending, THOUGHT_ENDS))
            return
        yield from self._take("thought", end)
        self._pending = self._pending.removeprefix(THOUGHT_ENDS)
        self._state, self._at_edge = "answer", True

    def _take(self, kind: Literal["thought", "answer"], length: int) -> Iterator[Part]:
        text, self._pending = self._pending[:length], self._pending[length:]
        if self._at_edge:
            text = text.lstrip()
        if text:
            self._at_edge = False
            yield kind, text


def held_back(text: str, tag: str) -> int:
    """Return how many characters at the end may be the start of a tag."""
    longest = min(len(tag) - 1, len(text))
    return next((length for length in range(longest, 0, -1) if tag.startswith(text[-length:])), 0)
