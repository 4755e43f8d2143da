"""Responses in ``/openapi.json``: headers, streams, and the meaning, body and example of each error."""

from typing import Any

from service_kit.errors import Problem, error_body
from service_kit.openapi import EXAMPLE_ID, error_responses

from routers.openai.errors import OpenAIErrorBody, openai_body
from schemas.common import ErrorBody

Responses = dict[int | str, dict[str, Any]]
_MEANINGS = {
    400: "The request is malformed, out of range, or asks for something unsupported",
    404: "No such model",
    413: "The body is larger than the service accepts",
    500: "This request failed; others are served",
    501: "No model is configured for this; the message says what to set",
    503: "Loading, overloaded, restarting or draining; Retry-After if the time is known",
}
_EXAMPLES = {
    400: Problem(
        400,
        "context_length_exceeded",
        "the conversation has 9012 tokens; this model reads 8191",
        details={"prompt_tokens": 9012, "context_length": 8192},
    ),
    404: Problem(404, "model_not_found", "model: 'gpt-4' does not exist here; there is 'default'", param="model"),
    422: Problem(422, "invalid_request", "temperature: Input should be less than or equal to 2"),
    500: Problem(500, "generation_failed", "the model computed numbers that are not finite"),
    501: Problem(501, "not_configured", "no reranker is configured: set RERANK_MODEL to a cross-encoder"),
    503: Problem(503, "overloaded", "64 requests are waiting", retryable=True),
    504: Problem(504, "deadline_exceeded", "no answer within 2 s", retryable=True),
}
_IGNORED_FIELDS = {"description": "Fields of the request that are unknown here", "schema": {"type": "string"}}
_CACHE = {
    "description": "For greedy and seeded requests: hit (from the response cache) or miss",
    "schema": {"type": "string", "enum": ["hit", "miss"]},
}
_SHOULD_RETRY = {
    "description": "Whether the same request may succeed later",
    "schema": {"type": "string", "enum": ["true", "false"]},
}


def responses(*statuses: int) -> Responses:
    """Return FastAPI's ``responses`` argument for error statuses of ``/api/*`` and the probes."""
    return error_responses(statuses, _MEANINGS, _EXAMPLES, ErrorBody, lambda problem: error_body(problem, EXAMPLE_ID))


def openai_responses(*statuses: int) -> Responses:
    """Return FastAPI's ``responses`` argument for error statuses of ``/v1/*``."""
    described = error_responses(statuses, _MEANINGS, _EXAMPLES, OpenAIErrorBody, openai_body)
    for status, response in described.items():
        if int(status) >= 500:
            response["headers"] |= {"X-Should-Retry": _SHOULD_RETRY}
    return described


def of_a_model(description: str, *more: int, openai: bool = False, stream: str | None = None) -> Responses:
    """Return FastAPI's ``responses`` argument of a route that asks a model: its errors with ``more`` statuses, and for
    200 the description; ``stream`` is an example of its events.
    """
    headers = {"X-Ignored-Fields": _IGNORED_FIELDS} | ({"X-Cache": _CACHE} if stream else {})
    answer: dict[str, Any] = {"description": description, "headers": headers}
    if stream is not None:
        answer["content"] = {"text/event-stream": {"example": stream}}
    statuses = (400, 401, 405, 413, 500, 503, 504, *more)
    return {200: answer, **(openai_responses(*statuses, 404) if openai else responses(*statuses, 422))}
