"""Answers of ``/api/llm/generate``, and the parts that OpenAI's dialects share with them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from service_kit.errors import error_body

from engines.errors import ServiceError
from engines.events import TextDelta, TokenLogprob, ToolCallDelta
from engines.requests import ToolCall
from routers.errors import problem_of
from routers.event_stream import json_event
from service_kit import sse
from services.results import GenerationItem, GenerationResult, ReasoningDelta


@dataclass(frozen=True, slots=True)
class GeneratedAnswer:
    """The answer to ``/api/llm/generate``."""

    request_id: str

    def body(self, results: Sequence[GenerationResult]) -> dict[str, Any]:
        """Return the answer, for ``orjson``."""
        (result,) = results
        return {
            "answer": result.answer,
            "reasoning_content": result.reasoning,
            "tool_calls": tool_calls_body(result.tool_calls) or None,
            "logprobs": logprobs_body(result.logprobs),
            "model": result.model,
            "tokens_generated": result.completion_tokens,
            "device": result.device,
            "finish_reason": result.finish_reason,
            "usage": usage_body(result.prompt_tokens, result.completion_tokens),
            "timings": result.timings,
            "cached": result.cached,
            "degraded": result.degraded,
            "request_id": self.request_id,
        }

    def events(self, _index: int, item: GenerationItem) -> Iterator[bytes]:
        """Yield a piece of the answer, or the whole of it."""
        if isinstance(item, TextDelta):
            yield json_event({"delta": item.text})
        elif isinstance(item, ReasoningDelta):
            yield json_event({"reasoning_delta": item.text})
        elif isinstance(item, ToolCallDelta):
            yield json_event({"tool_call_delta": tool_call_piece(item)})
        elif isinstance(item, GenerationResult):
            yield json_event(self.body([item]))

    def end(self) -> Iterator[bytes]:
        """Yield ``[DONE]``."""
        yield sse.DONE

    def fail(self, error: ServiceError) -> Iterator[bytes]:
        """Yield an ``error`` event."""
        yield json_event(error_body(problem_of(error), self.request_id), "error")


def usage_body(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    """Return token counts, as OpenAI has them."""
    total = prompt_tokens + completion_tokens
    return {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens, "total_tokens": total}


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
