"""Errors as JSON bodies: ``{"error": {"type", "message", "request_id", "retryable"}}``."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from service_kit.observability.records import record_of

HTTP_TYPES: Mapping[int, str] = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "request_too_large",
    415: "unsupported_media_type",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """An error on its way to the client.

    Attributes:
        type: stable name for programs.
        message: text for people; never a path, a stack trace or what a lower layer said.
        retryable: the same request may succeed later.
        retry_after_s: when, if known.
        param: field of the request at fault.
        details: further numbers of the body.

    """

    status: int
    type: str
    message: str
    retryable: bool = False
    retry_after_s: float | None = None
    param: str | None = None
    details: Mapping[str, int] = field(default_factory=dict)


class Refusal(Exception):
    """A request that a router refuses."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


Respond = Callable[[Scope, Problem, Mapping[str, str] | None], Response]
"""Renders a problem in the shape of the request's API; middleware stands outside the exception handlers."""


def error_body(problem: Problem, request_id: str) -> dict[str, Any]:
    """Return the body of an error."""
    error = {
        "type": problem.type,
        "message": problem.message,
        "request_id": request_id,
        "retryable": problem.retryable,
        **problem.details,
    }
    return {"error": error}


def error_headers(problem: Problem, headers: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return ``headers`` with the error's type, for balancers, and ``Retry-After`` where the time is known."""
    found = {**(headers or {}), "X-Error-Type": problem.type}
    if problem.retry_after_s is not None:
        found["Retry-After"] = str(max(1, math.ceil(problem.retry_after_s)))
    return found


def error_response(scope: Scope, problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer and note the error on the request's record."""
    record = record_of(scope)
    record.error = problem.type
    return JSONResponse(error_body(problem, record.request_id), problem.status, error_headers(problem, headers))
