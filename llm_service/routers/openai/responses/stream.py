"""A response as server-sent events.

Each item of the output is added, filled by deltas and done; the events between are those that OpenAI's clients build
their own copy from.
"""

import contextlib
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from engines.base import TextDelta, ToolCall, ToolCallDelta
from routers.choices import ChoiceItem
from routers.errors import problem_of
from routers.generation_wire import logprobs_body
from routers.openai.errors import openai_body
from routers.openai.responses.translation import (
    Response,
    call_item,
    message_item,
    new_id,
    reasoning_item,
    renamed,
    text_part,
    token_logprobs,
)
from service_kit import sse
from services.errors import ServiceError
from services.results import GenerationItem, GenerationResult, ReasoningDelta

Kind = Literal["reasoning", "message", "call"]
Event = tuple[str, dict[str, Any]]


@dataclass(slots=True)
class _Item:
    """The item that is being filled. ``logprobs`` of its tokens; ``call`` and ``number`` of a function call."""

    kind: Kind
    id: str
    call: tuple[str, str] = ("", "")
    number: int = 0
    pieces: list[str] = field(default_factory=list)
    logprobs: list[Any] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def part(self) -> dict[str, Any]:
        """The text as part of the item."""
        if self.kind == "reasoning":
            return {"type": "reasoning_text", "text": self.text}
        return text_part(self.text, self.logprobs)

    def body(self, status: str) -> dict[str, Any]:
        """Return the item; without its text while it is in progress."""
        begun = status == "in_progress"
        if self.kind == "reasoning":
            return reasoning_item(self.id, None if begun else self.text, status)
        if self.kind == "message":
            return message_item(self.id, None if begun else self.part, status)
        return call_item(self.id, *self.call, "" if begun else self.text, status)


class Output:
    """The output of a response, from its first event to its last."""

    def __init__(self, response: Response) -> None:
        self._response = response
        self._done: list[dict[str, Any]] = []
        self._item: _Item | None = None
        self._calls = 0

    def begin(self) -> Iterator[Event]:
        """Yield the events before the first item."""
        for name in ("response.created", "response.in_progress"):
            yield name, {"response": self._response.state("in_progress")}

    def take(self, item: GenerationItem) -> Iterator[Event]:
        """Yield the events of an item of the answer."""
        if isinstance(item, ReasoningDelta):
            yield from self._text("reasoning", item.text)
        elif isinstance(item, TextDelta):
            yield from self._text("message", item.text, (logprobs_body(item.logprobs) or {"content": []})["content"])
        elif isinstance(item, ToolCallDelta):
            yield from self._call(item)
        elif isinstance(item, GenerationResult):
            yield from self._end(item)

    def fail(self, error: ServiceError) -> Iterator[Event]:
        """Yield the events of a response that broke."""
        body = openai_body(problem_of(error))["error"]
        failed = {"code": "server_error", "message": body["message"]}
        yield "response.failed", {"response": self._response.state("failed", self._done, error=failed)}
        yield "error", {name: body[name] for name in ("code", "message", "param")}

    def _text(self, kind: Kind, text: str, logprobs: list[Any] | None = None) -> Iterator[Event]:
        item = self._item
        if item is None or item.kind != kind:
            yield from self._close("completed")
            item = self._item = _Item(kind, new_id("rs" if kind == "reasoning" else "msg"))
            yield from self._added(item)
            yield "response.content_part.added", {**self._place(item), "content_index": 0, "part": item.part}
        item.pieces.append(text)
        item.logprobs += logprobs or []
        delta = {**self._place(item), "content_index": 0, "delta": text}
        if kind == "reasoning":
            yield "response.reasoning_text.delta", delta
        else:
            yield "response.output_text.delta", {**delta, "logprobs": logprobs or []}

    def _call(self, delta: ToolCallDelta) -> Iterator[Event]:
        item = self._item
        if item is None or item.kind != "call" or item.number != delta.index:
            yield from self._close("completed")
            call = (delta.id or new_id("call"), delta.name or "")
            item = self._item = _Item("call", new_id("fc"), call, delta.index)
            self._calls += 1
            yield from self._added(item)
        if delta.arguments:
            item.pieces.append(delta.arguments)
            yield "response.function_call_arguments.delta", {**self._place(item), "delta": delta.arguments}

    def _end(self, result: GenerationResult) -> Iterator[Event]:
        if result.answer and not any(done["type"] == "message" for done in self._begun):
            yield from self._text("message", result.answer, token_logprobs(result))
        for number, call in enumerate(result.tool_calls[self._calls :], self._calls):
            yield from self._call(_as_delta(number, call))
        cut = result.finish_reason == "length"
        yield from self._close("incomplete" if cut else "completed")
        if not self._done:
            # A response without any output has an empty message, streamed or not.
            yield from self._text("message", "")
            yield from self._close("incomplete" if cut else "completed")
        ended = self._response.ended(result, self._done)
        yield f"response.{ended['status']}", {"response": ended}

    @property
    def _begun(self) -> list[dict[str, Any]]:
        return [*self._done, *([] if self._item is None else [self._item.body("in_progress")])]

    def _added(self, item: _Item) -> Iterator[Event]:
        added = {"output_index": len(self._done), "item": item.body("in_progress")}
        yield "response.output_item.added", added

    def _close(self, status: str) -> Iterator[Event]:
        """Yield the last events of the item under way, if any. A call is complete or not made at all."""
        item, self._item = self._item, None
        if item is None:
            return
        place = self._place(item)
        if item.kind == "call":
            status = "completed"
            yield "response.function_call_arguments.done", {**place, "name": item.call[1], "arguments": item.text}
        else:
            done = {**place, "content_index": 0}
            if item.kind == "reasoning":
                yield "response.reasoning_text.done", {**done, "text": item.text}
            else:
                yield "response.output_text.done", {**done, "text": item.text, "logprobs": item.logprobs}
            yield "response.content_part.done", {**done, "part": item.part}
        body = item.body(status)
        yield "response.output_item.done", {"output_index": len(self._done), "item": body}
        self._done.append(body)

    def _place(self, item: _Item) -> dict[str, Any]:
        return {"item_id": item.id, "output_index": len(self._done)}


def _as_delta(number: int, call: ToolCall) -> ToolCallDelta:
    return ToolCallDelta("", number, call.arguments, id=call.id, name=call.name)


async def response_events(response: Response, items: AsyncGenerator[ChoiceItem, None]) -> AsyncGenerator[bytes, None]:
    """Yield a streamed response; the last event says how it ended."""
    output, number = Output(response), 0

    def numbered(events: Iterator[Event]) -> Iterator[bytes]:
        nonlocal number
        for name, data in events:
            yield sse.event(orjson.dumps({"type": name, "sequence_number": number, **data}), name)
            number += 1

    async with contextlib.aclosing(items):
        for event in numbered(output.begin()):
            yield event
        try:
            async for _, item in items:
                for event in numbered(output.take(item)):
                    yield event
        except ServiceError as error:
            for event in numbered(output.fail(renamed(error))):
                yield event
