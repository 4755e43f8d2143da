"""Translation between OpenAI's chat completions and the service's types."""

import time
import uuid
from dataclasses import dataclass, field, replace
from typing import Any

from config.settings import Settings
from engines.base import GenerationRequest
from engines.request_ids import unique_id
from routers.choices import usage
from routers.generation_wire import logprobs_body, to_generation_request, tool_calls_body
from routers.openai.chat.request import ChatCompletionRequest
from routers.openai.errors import bad_parameter
from services.results import GenerationResult

MAX_SEED = 2**63


def to_generation_requests(body: ChatCompletionRequest, config: Settings, request_id: str) -> list[GenerationRequest]:
    """Return one request per choice. Raises ``Refusal`` for contradictory fields, or ``InvalidRequest``."""
    if body.stream_options is not None and not body.stream:
        raise bad_parameter("stream_options", "only together with stream: true")
    count = body.n or 1
    if count > config.llm_max_batch:
        raise bad_parameter("n", f"at most {config.llm_max_batch} here")
    request = to_generation_request(body, body.messages, config, request_id, _max_tokens(body))
    return [
        replace(
            request,
            id=unique_id(request_id),
            sampling=replace(request.sampling, seed=None if body.seed is None else (body.seed + index) % MAX_SEED),
        )
        for index in range(count)
    ]


def _max_tokens(body: ChatCompletionRequest) -> int | None:
    older, newer = body.max_tokens, body.max_completion_tokens
    if older is not None and newer is not None and older != newer:
        raise bad_parameter("max_tokens", f"contradicts max_completion_tokens, {newer}; send one of them")
    return older if newer is None else newer


@dataclass(frozen=True, slots=True)
class Completion:
    """Fields shared by all parts of one answer."""

    model: str
    system_fingerprint: str | None
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def head(self, kind: str) -> dict[str, Any]:
        """Return the fields common to every body of this answer."""
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.system_fingerprint,
        }


def completion_body(completion: Completion, results: list[GenerationResult]) -> dict[str, Any]:
    """Return the response body of complete answers."""
    choices = [
        {
            "index": index,
            "message": _message(result),
            "logprobs": logprobs_body(result.logprobs),
            "finish_reason": result.finish_reason,
        }
        for index, result in enumerate(results)
    ]
    return {**completion.head("chat.completion"), "choices": choices, "usage": usage(results)}


def _message(result: GenerationResult) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": result.answer}
    if result.reasoning is not None:
        message["reasoning_content"] = result.reasoning
    if result.tool_calls:
        message |= {"content": result.answer or None, "tool_calls": tool_calls_body(result.tool_calls)}
    return message
