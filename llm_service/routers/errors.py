"""Mapping of exceptions to HTTP statuses, error types and the two body formats."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from service_kit.disconnect import CLIENT_CLOSED, ClientDisconnected
from service_kit.errors import HTTP_TYPES, Problem
from service_kit.middleware.bodies import unreadable_body
from service_kit.observability.records import record_of
from starlette.exceptions import HTTPException
from starlette.types import Scope

from engines import errors
from routers.openai.errors import openai_body, openai_headers, path_not_found, speaks_openai, validation_problem
from service_kit import errors as kit
from services.errors import DeadlineExceeded, InvalidRequest, InvalidTexts, ModelNotFound, UnknownField

STATUS: dict[type[errors.ServiceError], int] = {
    errors.ModelLoading: 503,
    errors.ModelUnavailable: 503,
    errors.Overloaded: 503,
    errors.Draining: 503,
    DeadlineExceeded: 504,
    errors.EngineRestarted: 503,
    errors.GenerationFailed: 500,
    errors.ContextLengthExceeded: 400,
    errors.Unsupported: 400,
    errors.NotConfigured: 501,
    InvalidRequest: 422,
    ModelNotFound: 404,
    UnknownField: 422,
    InvalidTexts: 400,
}


def problem_of(error: errors.ServiceError) -> Problem:
    """Return the HTTP form of a ``ServiceError``."""
    return Problem(
        STATUS[type(error)],
        error.type,
        f"{error.field}: {error.message}" if error.field else error.message,
        retryable=error.retryable,
        retry_after_s=error.retry_after_s,
        param=error.field,
        details=dict(error.details),
    )


def error_response(scope: Scope, problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """Return the response to a failed request, in OpenAI's format on ``/v1/*``; add the error to its record."""
    if not speaks_openai(scope["path"]):
        return kit.error_response(scope, problem, headers)
    record_of(scope).error = problem.type
    if problem.status == 422:
        problem = dataclasses.replace(problem, status=400)  # OpenAI's status for a malformed request
    all_headers = kit.error_headers(problem, headers) | openai_headers(problem)
    return JSONResponse(openai_body(problem), problem.status, all_headers)


def install(app: FastAPI) -> None:
    """Register the handlers."""

    @app.exception_handler(errors.ServiceError)
    async def service_error(request: Request, error: errors.ServiceError) -> Response:
        return error_response(request.scope, problem_of(error))

    @app.exception_handler(ClientDisconnected)
    async def left(_request: Request, _error: ClientDisconnected) -> Response:
        return Response(status_code=CLIENT_CLOSED)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        problem = unreadable_body(request.headers, error)
        if problem is None:
            first = error.errors()[0]
            path = _path_sent(first, error.body)
            if speaks_openai(request.scope["path"]):
                problem = validation_problem(first, path)
            else:
                field = ".".join(map(str, path)) or "body"
                problem = Problem(422, "invalid_request", f"{field}: {first['msg']}")
        return error_response(request.scope, problem)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        status = error.status_code
        problem = unreadable_body(request.headers, error) or Problem(
            status, HTTP_TYPES.get(status, "invalid_request"), str(error.detail)
        )
        if status == 404 and speaks_openai(request.scope["path"]):
            problem = path_not_found(request.scope["path"])
        return error_response(request.scope, problem, error.headers)


def _path_sent(error: Mapping[str, Any], body: Any) -> list[int | str]:
    """Return the path of the field at fault in what the client sent: pydantic's also names the members of unions, and
    the parts of what the client sent as one text.
    """
    place, *parts = error["loc"]
    if place != "body":
        return list(parts)
    path: list[int | str] = []
    for part in parts:
        if (isinstance(body, dict) and part in body) or (isinstance(body, list) and part in range(len(body))):
            path.append(part)
            body = body[part]
    if error["type"] == "missing" and path[-1:] != parts[-1:]:
        path.append(parts[-1])
    return path
