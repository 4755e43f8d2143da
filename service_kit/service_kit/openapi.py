"""Corrections to FastAPI's ``/openapi.json``, and descriptions of error responses."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel

from service_kit.errors import Problem
from service_kit.middleware.access import OPEN_PATHS

_REFERENCE = "#/components/schemas/{model}"
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_REQUEST_ID = {
    "description": "The request's own id if it sent a valid one, else a new one",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,128}$"},
}
_ERROR_TYPE = {"description": "The error's type, as in the body under /api/", "schema": {"type": "string"}}
_CHALLENGE = {"description": "How to authenticate", "schema": {"type": "string"}}
_ERROR_HEADERS: Mapping[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": _CHALLENGE},
    403: {},
    405: {"Allow": {"description": "Allowed methods", "schema": {"type": "string"}}},
    503: {"Retry-After": {"description": "Seconds to wait, if known", "schema": {"type": "integer"}}},
}
COMMON_MEANINGS: Mapping[int, str] = {
    401: "No key, or a wrong one",
    403: "The key lacks the scope, or a page of another origin writes",
    405: "Another method than this one",
    415: "The body is not declared as JSON, or it is compressed",
    422: "The request is malformed or out of range; the message begins with the field",
    504: "The request's time limit has passed",
}
COMMON_EXAMPLES: Mapping[int, Problem] = {
    401: Problem(401, "unauthorized", "a valid API key is needed: Authorization: Bearer KEY"),
    403: Problem(403, "forbidden", "this API key lacks the scope admin"),
    405: Problem(405, "method_not_allowed", "Method Not Allowed"),
    413: Problem(413, "request_too_large", "the body is larger than 8388608 bytes"),
    415: Problem(415, "unsupported_media_type", "the Content-Type is missing; send Content-Type: application/json"),
}
EXAMPLE_ID = "27b427597d5047b994d25cc1718e1ec9"


def operation_id(route: APIRoute) -> str:
    """Return the function's name, which generated clients use as the method's name."""
    return route.name


def error_responses(
    statuses: Sequence[int],
    meanings: Mapping[int, str],
    examples: Mapping[int, Problem],
    model: type[BaseModel],
    body: Callable[[Problem], dict[str, Any]],
) -> dict[int | str, dict[str, Any]]:
    """Return FastAPI's ``responses`` argument for error statuses.

    Where a key is needed (401), 403 is possible too; where there is a body (413), 415.
    """
    wanted = {*statuses, *((403,) if 401 in statuses else ()), *((415,) if 413 in statuses else ())}
    meanings, examples = {**COMMON_MEANINGS, **meanings}, {**COMMON_EXAMPLES, **examples}
    return {
        status: {
            "model": model,
            "description": meanings[status],
            "headers": {"X-Error-Type": _ERROR_TYPE, **_ERROR_HEADERS.get(status, {})},
            "content": {"application/json": {"example": body(examples[status])}},
        }
        for status in sorted(wanted)
    }


def install(app: FastAPI, *, needs_key: bool, correct: Callable[[dict[str, Any]], None]) -> None:
    """Correct the description when it is first requested: common corrections, then ``correct``."""
    describe = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = describe()
            correct(schema)
            _correct(schema, needs_key=needs_key)
        return describe()

    # FastAPI's documented way to extend the description.
    app.openapi = described  # type: ignore[method-assign]


def operations(schema: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every operation with its path."""
    for path, methods in schema["paths"].items():
        for operation in methods.values():
            yield path, operation


def describe_stream(
    schema: dict[str, Any], path: str, models: Sequence[type[BaseModel]], *, named_errors: bool = False
) -> None:
    """Describe the events of a stream, in the form that FastAPI gives its own streams.

    Args:
        schema: the whole description.
        path: of the operation, which is a POST.
        models: JSON objects that ``data`` may hold.
        named_errors: whether an error has the event type ``error``.

    """
    components = schema["components"]["schemas"]
    for model in models:
        described = model.model_json_schema(ref_template=_REFERENCE, mode="serialization")
        components |= described.pop("$defs", {})
        components[model.__name__] = described
    references = [{"$ref": _REFERENCE.format(model=model.__name__)} for model in models]
    event_type = {"event": {"type": "string", "description": "error, when the stream broke"}} if named_errors else {}
    data = {
        "type": "string",
        "anyOf": [
            {"const": "[DONE]"},
            {"contentMediaType": "application/json", "contentSchema": {"anyOf": references}},
        ],
    }
    streamed = schema["paths"][path]["post"]["responses"]["200"]["content"]["text/event-stream"]
    streamed["itemSchema"] = {"type": "object", "properties": {**event_type, "data": data}, "required": ["data"]}


def _correct(schema: dict[str, Any], *, needs_key: bool) -> None:
    for unused in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(unused, None)
    for path, operation in operations(schema):
        for parameter in operation.get("parameters", []):
            _drop_null(parameter)
        for response in operation["responses"].values():
            response["headers"] = response.get("headers", {}) | {"X-Request-ID": _REQUEST_ID}
        if needs_key and path not in OPEN_PATHS:
            operation["security"] = [{"key": []}]
    if needs_key:
        schema["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    _write_integers(schema)


def _drop_null(parameter: dict[str, Any]) -> None:
    """Remove ``null`` from an optional header: sent, it would be a text of four letters."""
    match parameter["schema"]:
        case {"anyOf": [kind, {"type": "null"}]}:
            del parameter["schema"]["anyOf"]
            parameter["schema"] |= kind


def _write_integers(node: Any) -> None:
    """Write bounds of integers as integers; FastAPI makes floats of them, and 9.223372036854776e+18 exceeds 2**63."""
    children = node if isinstance(node, list) else node.values() if isinstance(node, dict) else ()
    if isinstance(node, dict) and node.get("type") == "integer":
        node |= {name: int(node[name]) for name in _BOUNDS if name in node}
    for child in children:
        _write_integers(child)
