"""Between the wire models of generation and the service's own types."""

import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import orjson

from config.settings import Settings
from engines.base import ChatMessage, GenerationRequest, SamplingParams, TextDelta
from engines.request_ids import unique_id
from routers.errors import service_error_body
from schemas.generation import GenerateRequest, JsonSchemaFormat
from services.decoding import choose_decoding
from services.errors import ServiceError
from services.results import GenerationItem, GenerationResult, ReasoningDelta, Started


def to_generation_request(body: GenerateRequest, config: Settings, request_id: str) -> GenerationRequest:
    """Fill in the settings' defaults; ``request_id`` is the HTTP request's. Raises ``InvalidRequest``."""
    schema = None
    if isinstance(body.response_format, JsonSchemaFormat):
        schema = json.dumps(body.response_format.json_schema)
    elif body.response_format is not None and body.response_format.type == "json_object":
        schema = '{"type": "object"}'
    decoding = choose_decoding(
        config,
        temperature=body.temperature,
        top_p=body.top_p,
        enable_thinking=body.enable_thinking,
        json_schema=schema,
    )
    return GenerationRequest(
        id=unique_id(request_id),
        messages=tuple(ChatMessage(message.role, message.content) for message in body.messages),
        sampling=SamplingParams(
            max_new_tokens=config.llm_max_new_tokens if body.max_new_tokens is None else body.max_new_tokens,
            temperature=decoding.temperature,
            top_p=decoding.top_p,
            stop=tuple(body.stop or ()),
            seed=body.seed,
            json_schema=schema,
        ),
        enable_thinking=decoding.enable_thinking,
        stream=body.stream,
    )


def to_body(result: GenerationResult, request_id: str) -> dict[str, Any]:
    """Return the response body of a whole answer."""
    return {
        "answer": result.answer,
        "reasoning_content": result.reasoning,
        "model": result.model,
        "tokens_generated": result.completion_tokens,
        "device": result.device,
        "finish_reason": result.finish_reason,
        "usage": {
            "prompt_tokens": result.prompt_tokens,
            "completion_tokens": result.completion_tokens,
            "total_tokens": result.prompt_tokens + result.completion_tokens,
        },
        "timings": {
            "queue_ms": result.timings.queue_ms,
            "ttft_ms": result.timings.ttft_ms,
            "total_ms": result.timings.total_ms,
            "tokens_per_second": result.timings.tokens_per_second,
        },
        "cached": result.cached,
        "request_id": request_id,
    }


async def whole_answer(items: AsyncGenerator[GenerationItem, None]) -> tuple[Started, GenerationResult]:
    """Follow an answer to its end; return how it started and what it is."""
    started = Started()
    async with contextlib.aclosing(items):
        async for item in items:
            if isinstance(item, Started):
                started = item
            elif isinstance(item, GenerationResult):
                return started, item
    raise AssertionError("a stream ends with its result or an error")


async def server_sent_events(
    first: GenerationItem,
    rest: AsyncGenerator[GenerationItem, None],
    request_id: str,
) -> AsyncIterator[bytes]:
    """Return an answer as server-sent events, ending with ``[DONE]`` or an ``error`` event."""
    async with contextlib.aclosing(rest):
        try:
            item: GenerationItem | None = first
            while item is not None:
                if isinstance(item, TextDelta):
                    yield _event({"delta": item.text})
                elif isinstance(item, ReasoningDelta):
                    yield _event({"reasoning_delta": item.text})
                elif isinstance(item, GenerationResult):
                    yield _event(to_body(item, request_id))
                item = await anext(rest, None)
            yield b"data: [DONE]\n\n"
        except ServiceError as error:
            yield b"event: error\n" + _event(service_error_body(error, request_id))


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(data) + b"\n\n"
