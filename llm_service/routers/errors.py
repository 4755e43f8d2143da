"""Errors to HTTP: the one place where they meet."""

import logging
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from schemas.common import ErrorBody
from services import errors

logger = logging.getLogger(__name__)

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


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return FastAPI's ``responses`` argument for these error statuses."""
    return {status: {"model": ErrorBody} for status in statuses}


def install(app: FastAPI) -> None:
    """Register the handlers."""

    @app.exception_handler(errors.ServiceError)
    async def service_error(request: Request, error: errors.ServiceError) -> JSONResponse:
        headers = {}
        if error.retry_after_s is not None:
            headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
        return JSONResponse(service_error_body(error, _request_id(request)), STATUS[type(error)], headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        message = f"{_field(first['loc'])}: {first['msg']}"
        return JSONResponse(error_body("invalid_request", message, _request_id(request)), 422)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        # FastAPI answers 400 to a body that it cannot read; to the client that is a malformed one.
        status = 422 if error.status_code == 400 else error.status_code
        body = error_body(HTTP_TYPES.get(status, "invalid_request"), str(error.detail), _request_id(request))
        return JSONResponse(body, status, error.headers)


def _request_id(request: Request) -> str:
    return str(request.scope["state"]["request_id"])


def _field(location: Sequence[int | str]) -> str:
    """Name the field at fault as the client wrote it: messages.0.role."""
    parts = [str(part) for part in location if part != "body"]
    return ".".join(parts) or "body"
