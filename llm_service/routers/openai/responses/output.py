"""A response, whole or as server-sent events.

Each item of the output is added, filled by deltas and done; the events between are those that OpenAI's clients build
their own copy from.
"""

import json
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from engines.errors import ServiceError
from engines.events import TextDelta, TokenLogprob, ToolCallDelta
from engines.requests import GenerationRequest
from routers.errors import problem_of
from routers.event_stream import json_event
from routers.openai.errors import openai_body
from routers.openai.responses.schemas import ResponsesRequest
from routers.openai.responses.translation import renamed
from routers.wire.generation_answer import logprobs_body
from services.errors import InvalidRequest
from services.results import GenerationItem, GenerationResult, ReasoningDelta, Started

Kind = Literal["reasoning", "message", "call"]
Event = tuple[str, dict[str, Any]]
_TEXTS = {"reasoning": "response.reasoning_text", "message": "response.output_text"}
_UNSAID = {"metadata": {}, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": []}
"""Fields that a response repeats, and what it has where the request has none."""
_PREFIXES: dict[Kind, str] = {"reasoning": "rs", "message": "msg", "call": "fc"}


def _new_id(prefix: str) -> str:
    """Return an id for a response or an item of one."""
    return f"{prefix}_{uuid.uuid4().hex}"


def _as_sent(field: str, value: Any) -> orjson.Fragment:
    """Return a part of the request as JSON; ``orjson`` writes neither every integer nor unpaired surrogates."""
    try:
        return orjson.Fragment(json.dumps(value, allow_nan=False))
    except ValueError as error:
        raise InvalidRequest("its numbers must be finite", field=field) from error


@dataclass(slots=True)
class _Item:
    """The item that is being filled. ``logprobs`` of its tokens; ``call`` and ``number`` of a function call."""

    kind: Kind
    call: tuple[str, str] = ("", "")
    number: int = 0
    pieces: list[str] = field(default_factory=list)
    logprobs: list[Any] = field(default_factory=list)
    id: str = ""

    def __post_init__(self) -> None:
        self.id = _new_id(_PREFIXES[self.kind])

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def part(self) -> dict[str, Any]:
        """The text as part of the item."""
        if self.kind == "reasoning":
            return {"type": "reasoning_text", "text": self.text}
        return {"type": "output_text", "text": self.text, "annotations": [], "logprobs": self.logprobs}

    def body(self, status: str) -> dict[str, Any]:
        """Return the item; without its text while it is in progress."""
        begun = status == "in_progress"
        if self.kind == "call":
            call_id, name = self.call
            arguments = "" if begun else self.text
            kind: dict[str, Any] = {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}
        else:
            content = [] if begun else [self.part]
            own: dict[str, Any] = {"summary": []} if self.kind == "reasoning" else {"role": "assistant"}
            kind = {"type": self.kind, **own, "content": content}
        return {**kind, "id": self.id, "status": status}


class ResponseAnswer:
    """A response: its items, as the events that fill them."""

    def __init__(self, body: ResponsesRequest, asked: GenerationRequest, model: str) -> None:
        said = body.model_dump(include=set(_UNSAID), by_alias=True, exclude_none=True)
        self._shared = {
            "id": _new_id("resp"),
            "object": "response",
            "created_at": int(time.time()),
            "model": model,
            "error": None,
            "incomplete_details": None,
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            **{name: _as_sent(name, said.get(name) or unsaid) for name, unsaid in _UNSAID.items()},
            "parallel_tool_calls": body.parallel_tool_calls is not False,
            "previous_response_id": None,
            "reasoning": {"effort": body.reasoning and body.reasoning.effort, "summary": None},
            "store": False,
            "temperature": asked.sampling.temperature,
            "top_p": asked.sampling.top_p,
            "truncation": "disabled",
            "usage": None,
            "user": body.user,
        }
        self._done: list[dict[str, Any]] = []
        self._item: _Item | None = None
        self._begun: list[Kind] = []
        self._number = 0

    def body(self, results: Sequence[GenerationResult]) -> dict[str, Any]:
        """Return a response that has ended."""
        *_, (_, ended) = self._take(results[0])
        response: dict[str, Any] = ended["response"]
        return response

    def events(self, _index: int, item: GenerationItem) -> Iterator[bytes]:
        """Yield the events of an item of the answer; of a whole one, those that its pieces have not yielded."""
        return self._numbered(self._take(item))

    def end(self) -> Iterator[bytes]:
        """Yield nothing: the last event of the answer says how it ended."""
        return iter(())

    def fail(self, error: ServiceError) -> Iterator[bytes]:
        """Yield the events of a response that broke."""
        body = openai_body(problem_of(renamed(error)))["error"]
        failed = {"code": "server_error", "message": body["message"]}
        ended = "response.failed", {"response": self._state("failed", error=failed)}
        return self._numbered([ended, ("error", {name: body[name] for name in ("code", "message", "param")})])

    def _numbered(self, events: Iterable[Event]) -> Iterator[bytes]:
        for name, data in events:
            yield json_event({"type": name, "sequence_number": self._number, **data}, name)
            self._number += 1

    def _state(self, status: str, **more: Any) -> dict[str, Any]:
        """Return the response in a state."""
        return {**self._shared, "status": status, "output": list(self._done), **more}

    def _take(self, item: GenerationItem) -> Iterator[Event]:
        if isinstance(item, Started):
            for name in ("response.created", "response.in_progress"):
                yield name, {"response": self._state("in_progress")}
        elif isinstance(item, ReasoningDelta):
            yield from self._text("reasoning", item.text)
        elif isinstance(item, TextDelta):
            yield from self._text("message", item.text, item.logprobs)
        elif isinstance(item, ToolCallDelta):
            yield from self._call(item)
        elif isinstance(item, GenerationResult):
            yield from self._end(item)

    def _text(self, kind: Kind, text: str, tokens: Sequence[TokenLogprob] = ()) -> Iterator[Event]:
        item = self._item
        if item is None or item.kind != kind:
            item = _Item(kind)
            yield from self._open(item)
            yield "response.content_part.added", {**self._place(item), "content_index": 0, "part": item.part}
        logprobs = (logprobs_body(tokens) or {"content": []})["content"]
        item.pieces.append(text)
        item.logprobs += logprobs
        more = {"logprobs": logprobs} if kind == "message" else {}
        yield f"{_TEXTS[kind]}.delta", {**self._place(item), "content_index": 0, "delta": text, **more}

    def _call(self, delta: ToolCallDelta) -> Iterator[Event]:
        item = self._item
        if item is None or item.kind != "call" or item.number != delta.index:
            item = _Item("call", (delta.id or _new_id("call"), delta.name or ""), delta.index)
            yield from self._open(item)
        if delta.arguments:
            item.pieces.append(delta.arguments)
            yield "response.function_call_arguments.delta", {**self._place(item), "delta": delta.arguments}

    def _end(self, result: GenerationResult) -> Iterator[Event]:
        if result.reasoning and "reasoning" not in self._begun:
            yield from self._text("reasoning", result.reasoning)
        if result.answer and "message" not in self._begun:
            yield from self._text("message", result.answer, result.logprobs)
        called = self._begun.count("call")
        for number, call in enumerate(result.tool_calls[called:], called):
            yield from self._call(ToolCallDelta("", number, call.arguments, id=call.id, name=call.name))
        if not {"message", "call"} & set(self._begun):
            # A response without any output has an empty message.
            yield from self._text("message", "")
        item = self._item
        whole_call = item is not None and item.kind == "call" and item.number < len(result.tool_calls)
        status = "incomplete" if result.finish_reason == "length" else "completed"
        yield from self._close("completed" if whole_call else status)
        usage = {
            "input_tokens": result.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": result.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": result.prompt_tokens + result.completion_tokens,
        }
        details = {"reason": "max_output_tokens"} if status == "incomplete" else None
        yield f"response.{status}", {"response": self._state(status, usage=usage, incomplete_details=details)}

    def _open(self, item: _Item) -> Iterator[Event]:
        yield from self._close("completed")
        self._item = item
        self._begun.append(item.kind)
        yield "response.output_item.added", {"output_index": len(self._done), "item": item.body("in_progress")}

    def _close(self, status: str) -> Iterator[Event]:
        """Yield the last events of the open item, if any."""
        item, self._item = self._item, None
        if item is None:
            return
        place = self._place(item)
        if item.kind == "call":
            yield "response.function_call_arguments.done", {**place, "name": item.call[1], "arguments": item.text}
        else:
            done = {**place, "content_index": 0}
            more = {"logprobs": item.logprobs} if item.kind == "message" else {}
            yield f"{_TEXTS[item.kind]}.done", {**done, "text": item.text, **more}
            yield "response.content_part.done", {**done, "part": item.part}
        body = item.body(status)
        yield "response.output_item.done", {"output_index": len(self._done), "item": body}
        self._done.append(body)

    def _place(self, item: _Item) -> dict[str, Any]:
        return {"item_id": item.id, "output_index": len(self._done)}
