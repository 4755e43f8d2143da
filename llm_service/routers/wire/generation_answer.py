"""Bodies and events of generated text."""

import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import orjson

from engines.errors import ServiceError
from engines.events import TextDelta, TokenLogprob, ToolCallDelta
from engines.requests import ToolCall
from routers.choices import ChoiceItem
from routers.errors import service_error_body
from service_kit import sse
from services.results import GenerationResult, ReasoningDelta


def to_body(result: GenerationResult, request_id: str) -> dict[str, Any]:
    """Return the response body of a complete answer, for ``orjson``."""
    return {
        "answer": result.answer,
        "reasoning_content": result.reasoning,
        "tool_calls": tool_calls_body(result.tool_calls) or None,
        "logprobs": logprobs_body(result.logprobs),
        "model": result.model,
        "tokens_generated": result.completion_tokens,
        "device": result.device,
        "finish_reason": result.finish_reason,
        "usage": {
            "prompt_tokens": result.prompt_tokens,
            "completion_tokens": result.completion_tokens,
            "total_tokens": result.prompt_tokens + result.completion_tokens,
        },
        "timings": result.timings,
        "cached": result.cached,
        "degraded": result.degraded,
        "request_id": request_id,
    }


def tool_calls_body(calls: Sequence[ToolCall]) -> list[dict[str, Any]]:
    """Return whole calls, as OpenAI has them."""
    return [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in calls
    ]


def tool_call_piece(delta: ToolCallDelta) -> dict[str, Any]:
    """Return a piece of a call, as OpenAI streams it."""
    if delta.name is None:
        return {"index": delta.index, "function": {"arguments": delta.arguments}}
    function = {"name": delta.name, "arguments": delta.arguments}
    return {"index": delta.index, "id": delta.id, "type": "function", "function": function}


def logprobs_body(logprobs: Sequence[TokenLogprob]) -> dict[str, Any] | None:
    """Return log probabilities, as OpenAI has them; ``None`` where none were asked for."""
    if not logprobs:
        return None
    return {
        "content": [
            {**_token(each.token, each.logprob), "top_logprobs": [_token(*other) for other in each.top]}
            for each in logprobs
        ]
    }


def _token(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode("utf-8", "replace"))}


async def server_sent_events(items: AsyncGenerator[ChoiceItem, None], request_id: str) -> AsyncGenerator[bytes, None]:
    """Yield the items after ``Started`` as server-sent events, ending with ``[DONE]`` or an ``error`` event."""
    async with contextlib.aclosing(items):
        try:
            async for _, item in items:
                if isinstance(item, TextDelta):
                    yield _event({"delta": item.text})
                elif isinstance(item, ReasoningDelta):
                    yield _event({"reasoning_delta": item.text})
                elif isinstance(item, ToolCallDelta):
                    yield _event({"tool_call_delta": tool_call_piece(item)})
                elif isinstance(item, GenerationResult):
                    yield _event(to_body(item, request_id))
            yield sse.DONE
        except ServiceError as error:
            yield sse.event(orjson.dumps(service_error_body(error, request_id)), "error")


def _event(data: dict[str, Any]) -> bytes:
    return sse.event(orjson.dumps(data))
