"""Error responses in ``/openapi.json``: meaning, headers, body and example of each status."""

from typing import Any

from service_kit.errors import Problem, error_body
from service_kit.openapi import EXAMPLE_ID, error_responses

from routers.openai.error_schema import OpenAIErrorBody
from routers.openai.errors import openai_body
from schemas.common import ErrorBody

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
    404: Problem(404, "model_not_found", "the model 'gpt-4' does not exist here; there is 'default'", param="model"),
    422: Problem(422, "invalid_request", "temperature: Input should be less than or equal to 2"),
    500: Problem(500, "generation_failed", "the model computed numbers that are not finite"),
    501: Problem(501, "not_configured", "no model ranks here: set RERANK_MODEL to a cross-encoder"),
    503: Problem(503, "overloaded", "64 requests are waiting", retryable=True),
    504: Problem(504, "deadline_exceeded", "no answer within 2 s", retryable=True),
}
_SHOULD_RETRY = {
    "description": "Whether the same request may succeed later",
    "schema": {"type": "string", "enum": ["true", "false"]},
}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return FastAPI's ``responses`` argument for error statuses of ``/api/*`` and the probes."""
    return error_responses(statuses, _MEANINGS, _EXAMPLES, ErrorBody, lambda problem: error_body(problem, EXAMPLE_ID))


def openai_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return FastAPI's ``responses`` argument for error statuses of ``/v1/*``."""
    described = error_responses(statuses, _MEANINGS, _EXAMPLES, OpenAIErrorBody, openai_body)
    for status, response in described.items():
        if int(status) >= 500:
            response["headers"] |= {"X-Should-Retry": _SHOULD_RETRY}
    return described
