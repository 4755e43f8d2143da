"""Mapping of exceptions to HTTP statuses, error types and messages."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from service_kit.disconnect import CLIENT_CLOSED, ClientDisconnected, DeadlineExceeded
from service_kit.errors import HTTP_TYPES, Problem, error_response
from service_kit.middleware.bodies import unreadable_body
from service_kit.middleware.request_context import INTERNAL_ERROR
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from adapters.ports.store import StoreUnavailable
from services.entries import InvalidListing
from services.library.documents import InvalidDocument
from services.library.formats import UnreadableFile
from services.library.uploads import LibraryBusy
from services.rag_service import NothingToAnswerFrom

_SHOWN_FAULTS = 5
_PLACES = frozenset({"body", "query", "path", "header"})
_RETRYABLE: Mapping[type[Exception], tuple[int, str, str, float | None]] = {
    StoreUnavailable: (503, "retrieval_unavailable", "the dictionary cannot be read right now", 5),
    NothingToAnswerFrom: (503, "llm_unavailable", "nothing was found by words, and no model can search by meaning", 5),
    LibraryBusy: (409, "busy", "another file is being loaded, or a source removed; try again when it is done", None),
    DeadlineExceeded: (504, "deadline_exceeded", "the request's time limit is over", None),
}
_INVALID = (InvalidDocument, UnreadableFile, InvalidListing)
"""Their messages are for clients."""


def problem_of(error: Exception) -> Problem:
    """Return the HTTP form of an error; no details for an unexpected one."""
    for kind, (status, name, message, retry_after_s) in _RETRYABLE.items():
        if isinstance(error, kind):
            return Problem(status, name, message, retryable=True, retry_after_s=retry_after_s)
    if isinstance(error, _INVALID):
        return Problem(422, "invalid_request", str(error))
    match error:
        case RequestValidationError():
            return Problem(422, "invalid_request", _faults(error.errors()))
        case HTTPException():
            kind_name = HTTP_TYPES.get(error.status_code, "http_error")
            return Problem(error.status_code, kind_name, str(error.detail))
    return INTERNAL_ERROR


def install_error_handlers(app: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """Register the handlers. ``routes`` are those of all routers: a path may have one for each method."""

    async def handle(request: Request, error: Exception) -> Response:
        problem = unreadable_body(request.headers, error) or problem_of(error)
        headers = dict(getattr(error, "headers", None) or {})
        if problem.status == 405:
            # Static files allow only these.
            headers["Allow"] = ", ".join(_methods(routes, request.url.path)) or "GET, HEAD"
        return error_response(request.scope, problem, headers)

    async def leave(_request: Request, _error: Exception) -> Response:
        return Response(status_code=CLIENT_CLOSED)

    for kind in (*_RETRYABLE, *_INVALID, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, handle)
    app.add_exception_handler(ClientDisconnected, leave)


def _methods(routes: Sequence[BaseRoute], path: str) -> list[str]:
    found = [route for route in routes if isinstance(route, Route) and route.path_regex.match(path)]
    return sorted({method for route in found for method in route.methods or ()})


def _faults(errors: Sequence[Mapping[str, Any]]) -> str:
    """Return the invalid fields and the reasons, without the submitted values."""
    faults = []
    for fault in errors[:_SHOWN_FAULTS]:
        where, *names = fault["loc"]
        place = ".".join(str(name) for name in names) if where in _PLACES else str(where)
        faults.append(f"{place or 'body'}: {str(fault['msg']).removeprefix('Value error, ')}")
    return "; ".join(faults)
