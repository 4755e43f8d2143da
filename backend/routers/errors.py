"""Every error that a client can meet, and what it looks like over HTTP. Nowhere else decides that."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from adapters.base import LogicalError, StoreUnavailable, TechnicalError
from middleware.access_record import access_record_of
from middleware.errors import error_body
from services.documents import InvalidDocument
from services.rag_service import NothingToAnswerFrom

logger = logging.getLogger(__name__)
_PASSED_ON = frozenset({400, 413, 422})
_HTTP_TYPES = {404: "not_found", 405: "method_not_allowed"}
_SHOWN_FAULTS = 5
_PLACES = frozenset({"body", "query", "path", "header"})


class DeadlineExceeded(Exception):
    """The time that the caller gave is over."""


class ClientGone(Exception):
    """The client left before its answer was ready."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as a client sees it."""

    status: int
    type: str
    message: str
    retryable: bool = False
    retry_after_s: float | None = None


_RETRYABLE: Mapping[type[Exception], tuple[int, str, str, float | None]] = {
    StoreUnavailable: (503, "retrieval_unavailable", "the dictionary cannot be read right now", 5),
    NothingToAnswerFrom: (503, "llm_unavailable", "nothing was found by words, and no model can search by meaning", 5),
    TechnicalError: (503, "llm_unavailable", "no language model is available right now", None),
    DeadlineExceeded: (504, "deadline_exceeded", "the request's time limit is over", None),
}


def problem_of(error: Exception) -> Problem:
    """Return what to tell about an error; unforeseen ones tell nothing about themselves."""
    for kind, (status, name, message, retry_after_s) in _RETRYABLE.items():
        if isinstance(error, kind):
            return Problem(status, name, message, retryable=True, retry_after_s=retry_after_s)
    match error:
        case LogicalError() if error.status in _PASSED_ON:
            return Problem(error.status, error.error_type, str(error)[:300])
        case LogicalError():
            return Problem(502, "llm_service_refused", f"the LLM service refused with status {error.status}")
        case InvalidDocument():
            return Problem(422, "invalid_request", str(error))
        case RequestValidationError():
            return Problem(422, "invalid_request", _faults(error.errors()))
        case HTTPException() if error.status_code == 400:
            # FastAPI's word for a body that its parser gave up on, such as one nested too deeply.
            return Problem(422, "invalid_request", "body: cannot be read")
        case HTTPException():
            kind_name = _HTTP_TYPES.get(error.status_code, "http_error")
            return Problem(error.status_code, kind_name, str(error.detail))
    return Problem(500, "internal_error", "something went wrong; the log knows this request's id")


def install_error_handlers(app: FastAPI) -> None:
    """Have the app answer every foreseen error in the contract's form."""

    async def handle(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        access_record_of(request.scope).error = problem.type
        headers = dict(getattr(error, "headers", None) or {})
        if problem.status == 405:
            # The page's files know no more than these; routes have named their own.
            headers.setdefault("Allow", "GET, HEAD")
        if problem.retry_after_s is not None:
            headers["Retry-After"] = str(math.ceil(problem.retry_after_s))
        return JSONResponse(body_of(problem, request.state.request_id), problem.status, headers)

    async def leave(_request: Request, _error: Exception) -> Response:
        return Response(status_code=499)

    foreseen: Sequence[type[Exception]] = (
        StoreUnavailable,
        NothingToAnswerFrom,
        TechnicalError,
        LogicalError,
        DeadlineExceeded,
        InvalidDocument,
        RequestValidationError,
        HTTPException,
    )
    for kind in foreseen:
        app.add_exception_handler(kind, handle)
    app.add_exception_handler(ClientGone, leave)


def body_of(problem: Problem, request_id: str) -> dict[str, object]:
    """Return the error's body."""
    return error_body(problem.type, problem.message, request_id, retryable=problem.retryable)


def _faults(errors: Sequence[Mapping[str, Any]]) -> str:
    """Name the fields and what is wrong with them, without what was sent."""
    told = []
    for fault in errors[:_SHOWN_FAULTS]:
        where, *names = fault["loc"]
        place = ".".join(str(name) for name in names) if where in _PLACES else str(where)
        told.append(f"{place or 'body'}: {str(fault['msg']).removeprefix('Value error, ')}")
    return "; ".join(told)
