"""Errors to HTTP: the one place where they meet."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import Scope

from observability.request_record import RequestRecord
from routers.openai_errors import openai_body, openai_headers, speaks_openai, validation_problem
from routers.problem import Problem, Refusal
from services import errors

STATUS: dict[type[errors.ServiceError], int] = {
    errors.ModelLoading: 503,
    errors.ModelUnavailable: 503,
    errors.Overloaded: 503,
    errors.Draining: 503,
    errors.DeadlineExceeded: 504,
    errors.EngineRestarted: 503,
    errors.GenerationFailed: 500,
    errors.ContextLengthExceeded: 400,
    errors.Unsupported: 400,
    errors.InvalidRequest: 400,
}
HTTP_TYPES = {401: "unauthorized", 404: "not_found", 405: "method_not_allowed", 413: "request_too_large"}


def error_body(type_: str, message: str, request_id: str, *, retryable: bool = False, **details: int) -> dict[str, Any]:
    """Return the body of every error."""
    error = {"type": type_, "message": message, "request_id": request_id, "retryable": retryable, **details}
    return {"error": error}


def service_error_body(error: errors.ServiceError, request_id: str) -> dict[str, Any]:
    """Return the body of a ``ServiceError``."""
    return error_body(error.type, error.message, request_id, retryable=error.retryable, **error.details)


def problem_of(error: errors.ServiceError) -> Problem:
    """Return what a ``ServiceError`` means on HTTP."""
    return Problem(
        STATUS[type(error)],
        error.type,
        error.message,
        retryable=error.retryable,
        param=_named_field(error),
        details=dict(error.details),
    )


def _named_field(error: errors.ServiceError) -> str | None:
    # Messages about one field begin with its name, for readers and for this.
    if isinstance(error, errors.InvalidRequest | errors.Unsupported):
        name, colon, _ = error.message.partition(": ")
        return name if colon and name.isidentifier() else None
    return None


def error_response(scope: Scope, problem: Problem, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return the answer to a request that failed. Here, and only here, the path decides on its shape."""
    record: RequestRecord = scope["state"]["record"]
    record.error = problem.type
    if speaks_openai(scope["path"]):
        return JSONResponse(openai_body(problem), problem.status, {**(headers or {}), **openai_headers(problem)})
    body = error_body(
        problem.type,
        problem.message,
        str(scope["state"]["request_id"]),
        retryable=problem.retryable,
        **problem.details,
    )
    return JSONResponse(body, problem.status, headers)


def install(app: FastAPI) -> None:
    """Register the handlers."""

    @app.exception_handler(errors.ServiceError)
    async def service_error(request: Request, error: errors.ServiceError) -> JSONResponse:
        headers = {}
        if error.retry_after_s is not None:
            headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
        return error_response(request.scope, problem_of(error), headers)

    @app.exception_handler(Refusal)
    async def refusal(request: Request, error: Refusal) -> JSONResponse:
        return error_response(request.scope, error.problem)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        if speaks_openai(request.scope["path"]):
            problem = validation_problem(first)
        else:
            problem = Problem(422, "invalid_request", f"{_field(first['loc'])}: {first['msg']}")
        return error_response(request.scope, problem)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        status = error.status_code
        if status == 400 and not speaks_openai(request.scope["path"]):
            # FastAPI answers 400 to a body that it cannot read; to the client that is a malformed one.
            status = 422
        problem = Problem(status, HTTP_TYPES.get(status, "invalid_request"), str(error.detail))
        return error_response(request.scope, problem, error.headers)


def _field(location: Sequence[int | str]) -> str:
    """Name the field at fault as the client wrote it: messages.0.role."""
    parts = [str(part) for part in location if part != "body"]
    return ".".join(parts) or "body"
