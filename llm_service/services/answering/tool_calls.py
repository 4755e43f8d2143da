"""Finds the tool calls in a model's text."""

import json
import re
import uuid
from collections.abc import Iterator
from typing import Literal

from engines.events import TextDelta, ToolCallDelta
from engines.prompts.tools import CALL_BEGINS, CALL_ENDS
from engines.requests import ToolCall
from services.answering.reasoning import held_back

_HEAD = re.compile(r'\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*(?=\{)')
_END = re.compile(rf"\s*\}}\s*{re.escape(CALL_ENDS.strip())}\s*")
_TOKEN = re.compile(r'\\.|["{}]', re.DOTALL)
_LONGEST_HEAD = 1024


class ToolCallReader:
    """Splits a streamed text into free text and calls, of the form that ``engines.prompts.tools`` describes.

    ``calls`` are the calls whose arguments are complete. What looks like a call and is none stays text.
    """

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self._state: Literal["text", "head", "arguments", "end"] = "text"
        self._pending = ""
        self._depth = 0
        self._in_string = False
        self._arguments: list[str] = []
        self._name = self._id = ""
        self._begun = 0
        self._after_call = False
        self.calls: list[ToolCall] = []

    def push(self, text: str) -> Iterator[TextDelta | ToolCallDelta]:
        """Add a piece; yield what is certain now."""
        self._pending += text
        before = None
        while before != (self._state, len(self._pending)):
            before = (self._state, len(self._pending))
            yield from self._advance()

    def finish(self) -> Iterator[TextDelta]:
        """Yield the rest; call once, at the end. Incomplete calls are dropped."""
        if self._state == "text" and self._pending:
            yield TextDelta(self._request_id, self._pending)
        self._pending = ""

    def _advance(self) -> Iterator[TextDelta | ToolCallDelta]:
        match self._state:
            case "text":
                yield from self._read_text()
            case "head":
                yield from self._read_head()
            case "arguments":
                yield from self._read_arguments()
            case "end":
                if (end := _END.match(self._pending)) is not None:
                    self._state, self._pending, self._after_call = "text", self._pending[end.end() :], True

    def _read_text(self) -> Iterator[TextDelta]:
        if self._after_call:
            self._pending = self._pending.lstrip()
            self._after_call = not self._pending
        at = self._pending.find(CALL_BEGINS)
        free = len(self._pending) - _held_back(self._pending) if at < 0 else at
        if at >= 0:
            # The line break before a call belongs to it.
            text, self._pending = self._pending[:at].rstrip("\n"), self._pending[at + len(CALL_BEGINS) :]
            self._state = "head"
        else:
            text, self._pending = self._pending[:free], self._pending[free:]
        if text:
            yield TextDelta(self._request_id, text)

    def _read_head(self) -> Iterator[TextDelta | ToolCallDelta]:
        head = _HEAD.match(self._pending)
        if head is None:
            if CALL_ENDS.strip() in self._pending or len(self._pending) > _LONGEST_HEAD:
                self._state, text, self._pending = "text", CALL_BEGINS + self._pending, ""
                yield TextDelta(self._request_id, text)
            return
        self._pending = self._pending[head.end() :]
        self._state, self._depth, self._in_string, self._arguments = "arguments", 0, False, []
        self._name, self._id = str(json.loads(head[1])), f"call_{uuid.uuid4().hex[:24]}"
        self._begun += 1
        yield ToolCallDelta(self._request_id, self._begun - 1, id=self._id, name=self._name)

    def _read_arguments(self) -> Iterator[ToolCallDelta]:
        end = self._end_of_object()
        piece = self._pending[:end]
        self._pending = self._pending[end:]
        if not piece:
            return
        self._arguments.append(piece)
        yield ToolCallDelta(self._request_id, self._begun - 1, piece)
        if self._depth == 0:
            self.calls.append(ToolCall(self._id, self._name, "".join(self._arguments)))
            self._state = "end"

    def _end_of_object(self) -> int:
        """Return how much of the text belongs to the current object; updates the position in it."""
        read = 0
        for token in _TOKEN.finditer(self._pending):
            read = token.end()
            if token[0] == '"':
                self._in_string = not self._in_string
            elif token[0] in "{}" and not self._in_string:
                self._depth += 1 if token[0] == "{" else -1
                if self._depth == 0:
                    return read
        # A last backslash waits for the character that it escapes.
        return len(self._pending) - (self._pending.endswith("\\") and read < len(self._pending))


def _held_back(text: str) -> int:
    """Return how many characters at the end may be the start of a call, the line breaks before it included."""
    rest = text[: len(text) - held_back(text, CALL_BEGINS)]
    return len(text) - len(rest.rstrip("\n"))
