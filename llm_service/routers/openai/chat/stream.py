"""A chat completion as server-sent events."""

import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import orjson

from engines.base import TextDelta, TokenLogprob, ToolCallDelta
from routers.choices import ChoiceItem, usage
from routers.errors import problem_of
from routers.generation_wire import logprobs_body, tool_call_piece
from routers.openai.chat.translation import Completion
from routers.openai.errors import openai_body
from services.errors import ServiceError
from services.results import GenerationItem, GenerationResult, ReasoningDelta, Started

DONE = b"data: [DONE]\n\n"


async def completion_events(
    items: AsyncGenerator[ChoiceItem, None], completion: Completion, *, include_usage: bool
) -> AsyncGenerator[bytes, None]:
    """Yield a streamed answer, ending with ``[DONE]`` or with an error event.

    Each choice consists of a chunk with its role, chunks with text, and one with its finish reason.
    """
    head = completion.head("chat.completion.chunk")
    # If usage is requested, all of OpenAI's chunks have the field, null in all but the last.
    tail: dict[str, Any] = {"usage": None} if include_usage else {}
    begun: set[int] = set()
    results: list[GenerationResult] = []
    async with contextlib.aclosing(items):
        try:
            async for index, item in items:
                if isinstance(item, Started):
                    continue
                if index not in begun:
                    begun.add(index)
                    yield _event({**head, "choices": [_choice(index, {"role": "assistant", "content": ""})], **tail})
                choice = _piece(index, item)
                if choice is not None:
                    yield _event({**head, "choices": [choice], **tail})
                if isinstance(item, GenerationResult):
                    results.append(item)
            if include_usage:
                yield _event({**head, "choices": [], "usage": usage(results)})
            yield DONE
        except ServiceError as error:
            yield _event(openai_body(problem_of(error)))


def _piece(index: int, item: GenerationItem) -> dict[str, Any] | None:
    if isinstance(item, TextDelta):
        return _choice(index, {"content": item.text}, logprobs=item.logprobs)
    if isinstance(item, ReasoningDelta):
        return _choice(index, {"reasoning_content": item.text})
    if isinstance(item, GenerationResult):
        return _choice(index, {}, item.finish_reason)
    if isinstance(item, ToolCallDelta):
        return _choice(index, {"tool_calls": [tool_call_piece(item)]})
    return None


def _choice(
    index: int, delta: dict[str, Any], reason: str | None = None, logprobs: Sequence[TokenLogprob] = ()
) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": logprobs_body(logprobs), "finish_reason": reason}


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(data) + b"\n\n"
