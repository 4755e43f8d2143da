"""What ``/openapi.json`` says of errors: for each status its meaning, its headers, its body, an example."""

from typing import Any

from middleware.errors import error_body
from schemas.errors import ErrorBody

_MEANINGS = {
    400: "The question and its history are longer than the model reads",
    401: "No or a wrong key",
    404: "There is no document of this id",
    405: "Another method than this one",
    413: "The body is larger than the backend takes",
    422: "The request is malformed or out of range; the message begins with the field",
    500: "Something went wrong; the log knows this request's id",
    502: "The LLM service refused what the backend asked of it",
    503: "The dictionary cannot be read, or nothing was found and no model can help",
    504: "The request's time has passed",
}
_EXAMPLES = {
    400: ("context_length_exceeded", "the conversation has 9012 tokens; this model reads 8191"),
    401: ("unauthorized", "a valid API key is needed"),
    404: ("not_found", "there is no document of this id"),
    405: ("method_not_allowed", "Method Not Allowed"),
    413: ("request_too_large", "the body is larger than 8388608 bytes"),
    422: ("invalid_request", "query: is empty"),
    500: ("internal_error", "something went wrong; the log knows this request's id"),
    502: ("llm_service_refused", "the LLM service refused with status 401"),
    503: ("retrieval_unavailable", "the dictionary cannot be read right now"),
    504: ("deadline_exceeded", "the request's time limit is over"),
}
_RETRYABLE = frozenset({503, 504})
_HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"description": "How to send the key", "schema": {"const": "Bearer"}}},
    405: {"Allow": {"description": "The methods there are", "schema": {"type": "string"}}},
    503: {
        "Retry-After": {"description": "Seconds to wait, where they can be named", "schema": {"type": "integer"}},
    },
}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return FastAPI's ``responses`` argument for these error statuses."""
    return {status: _response(status) for status in statuses}


def _response(status: int) -> dict[str, Any]:
    kind, message = _EXAMPLES[status]
    body = error_body(kind, message, "27b427597d5047b994d25cc1718e1ec9", retryable=status in _RETRYABLE)
    return {
        "model": ErrorBody,
        "description": _MEANINGS[status],
        "headers": _HEADERS.get(status, {}),
        "content": {"application/json": {"example": body}},
    }
