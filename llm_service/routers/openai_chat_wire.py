"""Between OpenAI's chat completions and the service's own types."""

import json
import time
import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from typing import Any

from config.settings import Settings
from engines.base import ChatMessage, GenerationRequest, SamplingParams
from engines.request_ids import unique_id
from routers.openai_choices import ChoiceItem
from routers.openai_errors import bad_parameter
from schemas.openai_chat import ChatCompletionRequest, NamedSchemaFormat
from services.decoding import choose_decoding
from services.results import GenerationResult, Started

MAX_SEED = 2**63


def to_generation_requests(body: ChatCompletionRequest, config: Settings, request_id: str) -> list[GenerationRequest]:
    """Return the request for each choice; ``request_id`` is the HTTP request's. Raises the refusal of fields
    that contradict each other, or ``InvalidRequest``.
    """
    stream = bool(body.stream)
    if body.stream_options is not None and not stream:
        raise bad_parameter("stream_options", "only together with stream: true")
    count = body.n or 1
    if count > config.llm_max_batch:
        raise bad_parameter("n", f"at most {config.llm_max_batch} here")
    messages = tuple(
        ChatMessage("system" if message.role == "developer" else message.role, message.text)
        for message in body.messages
    )
    schema = _json_schema(body)
    decoding = choose_decoding(
        config,
        temperature=body.temperature,
        top_p=body.top_p,
        enable_thinking=_thinking(body),
        json_schema=schema,
    )
    sampling = SamplingParams(
        max_new_tokens=_max_tokens(body) or config.llm_max_new_tokens,
        temperature=decoding.temperature,
        top_p=decoding.top_p,
        stop=tuple(body.stop or ()),
        json_schema=schema,
    )
    return [
        GenerationRequest(
            id=unique_id(request_id),
            messages=messages,
            sampling=sampling if body.seed is None else replace(sampling, seed=(body.seed + index) % MAX_SEED),
            enable_thinking=decoding.enable_thinking,
            stream=stream,
        )
        for index in range(count)
    ]


def _max_tokens(body: ChatCompletionRequest) -> int | None:
    older, newer = body.max_tokens, body.max_completion_tokens
    if older is not None and newer is not None and older != newer:
        raise bad_parameter("max_tokens", f"contradicts max_completion_tokens, {newer}; send one of them")
    return older if newer is None else newer


def _thinking(body: ChatCompletionRequest) -> bool | None:
    plain = body.enable_thinking
    nested = body.chat_template_kwargs.enable_thinking if body.chat_template_kwargs else None
    if plain is not None and nested is not None and plain != nested:
        raise bad_parameter("enable_thinking", "contradicts chat_template_kwargs.enable_thinking; send one of them")
    return nested if plain is None else plain


def _json_schema(body: ChatCompletionRequest) -> str | None:
    if isinstance(body.response_format, NamedSchemaFormat):
        return json.dumps(body.response_format.json_schema.schema_)
    if body.response_format is not None and body.response_format.type == "json_object":
        return '{"type": "object"}'
    return None


@dataclass(frozen=True, slots=True)
class Completion:
    """What all parts of one answer have in common."""

    model: str
    system_fingerprint: str | None
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def head(self, kind: str) -> dict[str, Any]:
        """Return the fields that every body of this answer begins with."""
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.system_fingerprint,
        }


async def whole_answers(items: AsyncGenerator[ChoiceItem, None]) -> tuple[Started, list[GenerationResult]]:
    """Follow all choices to their ends; return how the first one started, and the results by index."""
    started = Started()
    results: dict[int, GenerationResult] = {}
    async for index, item in items:
        if isinstance(item, Started) and index == 0:
            started = item
        elif isinstance(item, GenerationResult):
            results[index] = item
    return started, [result for _, result in sorted(results.items(), key=lambda entry: entry[0])]


def completion_body(completion: Completion, results: list[GenerationResult]) -> dict[str, Any]:
    """Return the response body of whole answers."""
    choices = [
        {"index": index, "message": _message(result), "logprobs": None, "finish_reason": finish_reason(result)}
        for index, result in enumerate(results)
    ]
    return {**completion.head("chat.completion"), "choices": choices, "usage": usage(results)}


def _message(result: GenerationResult) -> dict[str, Any]:
    message = {"role": "assistant", "content": result.answer}
    return message if result.reasoning is None else {**message, "reasoning_content": result.reasoning}


def finish_reason(result: GenerationResult) -> str:
    """Return why an answer ended; OpenAI knows no other reasons."""
    return "length" if result.finish_reason == "length" else "stop"


def usage(results: list[GenerationResult]) -> dict[str, int]:
    """Count the tokens: the conversation's once, those of every answer."""
    prompt = results[0].prompt_tokens if results else 0
    completion = sum(result.completion_tokens for result in results)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
