"""A chat completion as server-sent events."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import orjson

from engines.base import TextDelta
from routers.errors import problem_of
from routers.openai_chat_wire import Completion, finish_reason, usage
from routers.openai_choices import ChoiceItem
from routers.openai_errors import openai_body
from services.errors import ServiceError
from services.results import GenerationItem, GenerationResult, ReasoningDelta

DONE = b"data: [DONE]\n\n"


async def completion_events(
    first: ChoiceItem, rest: AsyncGenerator[ChoiceItem, None], completion: Completion, *, include_usage: bool
) -> AsyncIterator[bytes]:
    """Return a streamed answer, ending with ``[DONE]`` or with an event that holds the error.

    Each choice comes as a chunk with its role, chunks with text, and one with its finish reason.
    """
    head = completion.head("chat.completion.chunk")
    # With usage asked for, OpenAI's chunks all have the field, the last one filled.
    tail: dict[str, Any] = {"usage": None} if include_usage else {}
    begun: set[int] = set()
    results: list[GenerationResult] = []
    async with contextlib.aclosing(rest):
        try:
            arrival: ChoiceItem | None = first
            while arrival is not None:
                index, item = arrival
                if index not in begun:
                    begun.add(index)
                    yield _event({**head, "choices": [_choice(index, {"role": "assistant", "content": ""})], **tail})
                choice = _piece(index, item)
                if choice is not None:
                    yield _event({**head, "choices": [choice], **tail})
                if isinstance(item, GenerationResult):
                    results.append(item)
                arrival = await anext(rest, None)
            if include_usage:
                yield _event({**head, "choices": [], "usage": usage(results)})
            yield DONE
        except ServiceError as error:
            yield _event(openai_body(problem_of(error)))


def _piece(index: int, item: GenerationItem) -> dict[str, Any] | None:
    if isinstance(item, TextDelta):
        return _choice(index, {"content": item.text})
    if isinstance(item, ReasoningDelta):
        return _choice(index, {"reasoning_content": item.text})
    if isinstance(item, GenerationResult):
        return _choice(index, {}, finish_reason(item))
    return None


def _choice(index: int, delta: dict[str, str], reason: str | None = None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(data) + b"\n\n"
