"""An error as bytes on the wire, for middleware, which stands outside the app's exception handlers."""

import json
from collections.abc import Mapping

from starlette.types import Scope, Send

from middleware.access_record import access_record_of
from schemas.errors import ErrorBody, ErrorDetail


def error_body(kind: str, message: str, request_id: str, *, retryable: bool = False) -> dict[str, object]:
    """Return the body that every error has."""
    detail = ErrorDetail(type=kind, message=message, request_id=request_id, retryable=retryable)
    return ErrorBody(error=detail).model_dump()


def request_id_of(scope: Scope) -> str:
    """Return the id that ``RequestContextMiddleware`` gave the request."""
    return str(scope.get("state", {}).get("request_id", ""))


async def send_error(
    scope: Scope, send: Send, status: int, kind: str, message: str, headers: Mapping[str, str] | None = None
) -> None:
    """Answer the request with an error."""
    access_record_of(scope).error = kind
    body = json.dumps(error_body(kind, message, request_id_of(scope)), ensure_ascii=False).encode()
    raw = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(name.encode(), value.encode()) for name, value in raw.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})
