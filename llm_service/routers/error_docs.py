"""What ``/openapi.json`` says of errors: for each status its meaning, its headers, its body, an example."""

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from routers.errors import error_body
from routers.openai_errors import openai_body
from routers.problem import Problem
from schemas.common import ErrorBody
from schemas.openai_error import OpenAIErrorBody

_MEANINGS = {
    400: "The request is malformed, out of range, or asks for what cannot be honoured",
    401: "No or a wrong key",
    404: "No such model",
    405: "Another method than this one",
    413: "The body is larger than the service takes",
    422: "The request is malformed or out of range; the message begins with the field",
    500: "This request broke; others are served",
    503: "Loading, at its limit, restarting or stopping; Retry-After where a time can be named",
    504: "The request's time has passed",
}
_EXAMPLES = {
    400: Problem(
        400,
        "context_length_exceeded",
        "the conversation has 9012 tokens; this model reads 8191",
        details={"prompt_tokens": 9012, "context_length": 8192},
    ),
    401: Problem(401, "unauthorized", "a valid key is needed: Authorization: Bearer KEY"),
    404: Problem(404, "model_not_found", "the model 'gpt-4' does not exist here; there is 'default'", param="model"),
    405: Problem(405, "method_not_allowed", "Method Not Allowed"),
    413: Problem(413, "request_too_large", "the body is larger than 8388608 bytes"),
    422: Problem(422, "invalid_request", "temperature: Input should be less than or equal to 2"),
    500: Problem(500, "generation_failed", "the model gave numbers that are not finite"),
    503: Problem(503, "overloaded", "64 requests are waiting", retryable=True),
    504: Problem(504, "deadline_exceeded", "no answer within 2 s", retryable=True),
}
_RETRY_AFTER = {"description": "Seconds to wait, where they can be named", "schema": {"type": "integer"}}
_SHOULD_RETRY = {
    "description": "Whether the same request may succeed later",
    "schema": {"type": "string", "enum": ["true", "false"]},
}
_HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"description": "How to send the key", "schema": {"const": "Bearer"}}},
    405: {"Allow": {"description": "The methods there are", "schema": {"type": "string"}}},
    503: {"Retry-After": _RETRY_AFTER},
}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return FastAPI's ``responses`` argument for these error statuses of ``/api/*`` and the probes."""
    return {status: _response(status, ErrorBody, _own_body) for status in statuses}


def openai_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return FastAPI's ``responses`` argument for these error statuses of ``/v1/*``."""
    described: dict[int | str, dict[str, Any]] = {
        status: _response(status, OpenAIErrorBody, openai_body) for status in statuses
    }
    for status in statuses:
        if status >= 500:
            described[status]["headers"] |= {"X-Should-Retry": _SHOULD_RETRY}
    return described


def _response(status: int, model: type[BaseModel], body: Callable[[Problem], dict[str, Any]]) -> dict[str, Any]:
    return {
        "model": model,
        "description": _MEANINGS[status],
        "headers": dict(_HEADERS.get(status, {})),
        "content": {"application/json": {"example": body(_EXAMPLES[status])}},
    }


def _own_body(problem: Problem) -> dict[str, Any]:
    request_id = "27b427597d5047b994d25cc1718e1ec9"
    return error_body(problem.type, problem.message, request_id, retryable=problem.retryable, **problem.details)
