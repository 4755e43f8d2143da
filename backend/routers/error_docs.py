"""Error responses in ``/openapi.json``: meaning, headers, body and example of each status."""

from typing import Any

from service_kit.errors import Problem, error_body
from service_kit.middleware.request_context import INTERNAL_ERROR
from service_kit.openapi import EXAMPLE_ID, error_responses

from schemas.errors import ErrorBody

_MEANINGS = {
    404: "Nothing with this id, or the function is switched off",
    409: "Another file is being loaded",
    413: "The body is larger than the backend accepts",
    500: "Internal error; the log has it under this request id",
    503: "The dictionary cannot be read, or nothing was found and no model is available",
}
_EXAMPLES = {
    404: Problem(404, "not_found", "no document with this id"),
    409: Problem(409, "busy", "another file is being loaded", retryable=True),
    422: Problem(422, "invalid_request", "query: is empty"),
    500: INTERNAL_ERROR,
    503: Problem(503, "retrieval_unavailable", "the dictionary cannot be read right now", retryable=True),
    504: Problem(504, "deadline_exceeded", "the request's time limit is over", retryable=True),
}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return FastAPI's ``responses`` argument for error statuses."""
    return error_responses(statuses, _MEANINGS, _EXAMPLES, ErrorBody, lambda problem: error_body(problem, EXAMPLE_ID))
