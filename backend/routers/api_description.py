"""What FastAPI's ``/openapi.json`` leaves out or gets wrong."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel

from schemas.errors import ErrorBody
from schemas.rag import QueryResponse, SourcesEvent, TextEvent

TAGS = [
    {"name": "RAG", "description": "Questions, search, and the documents they rest on"},
    {"name": "Operations", "description": "For load balancers and whoever runs the backend"},
]
_EVENTS: tuple[type[BaseModel], ...] = (SourcesEvent, TextEvent, QueryResponse, ErrorBody)
_REFERENCE = "#/components/schemas/{model}"
_UNGUARDED = frozenset({"/livez", "/readyz"})
_REQUEST_ID = {
    "description": "The request's own id when it sent a harmless one, else a new one",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,128}$"},
}


def operation_id(route: APIRoute) -> str:
    """Name an operation as its function is named, which is what generated clients call it."""
    return route.name


def install(app: FastAPI, *, asks_for_key: bool) -> None:
    """Correct the description whenever it is made. ``asks_for_key``: whether requests need one."""
    describe = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            _correct(describe(), asks_for_key=asks_for_key)
        return describe()

    # FastAPI's documented way to extend what it describes.
    app.openapi = described  # type: ignore[method-assign]


def _correct(schema: dict[str, Any], *, asks_for_key: bool) -> None:
    for unused in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(unused, None)
    _describe_stream(schema)
    for operation in _operations(schema):
        for parameter in operation.get("parameters", []):
            _drop_null(parameter)
        for response in operation["responses"].values():
            response["headers"] = response.get("headers", {}) | {"X-Request-ID": _REQUEST_ID}
    if asks_for_key:
        _describe_key(schema)


def _operations(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for operations in schema["paths"].values():
        yield from operations.values()


def _drop_null(parameter: dict[str, Any]) -> None:
    """A header is sent or not; null, which FastAPI describes for optional ones, would be a text of four letters."""
    match parameter["schema"]:
        case {"anyOf": [kind, {"type": "null"}]}:
            del parameter["schema"]["anyOf"]
            parameter["schema"] |= kind


def _describe_stream(schema: dict[str, Any]) -> None:
    """Describe each event, in the way FastAPI does for streams that it makes itself."""
    components = schema["components"]["schemas"]
    for model in _EVENTS:
        described = model.model_json_schema(ref_template=_REFERENCE, mode="serialization")
        components |= described.pop("$defs", {})
        components[model.__name__] = described
    references = [{"$ref": _REFERENCE.format(model=model.__name__)} for model in _EVENTS]
    content = schema["paths"]["/api/rag/query"]["post"]["responses"]["200"]["content"]
    content["text/event-stream"]["itemSchema"] = {
        "type": "object",
        "properties": {
            "data": {
                "type": "string",
                "anyOf": [
                    {"const": "[DONE]"},
                    {"contentMediaType": "application/json", "contentSchema": {"anyOf": references}},
                ],
            },
        },
        "required": ["data"],
    }


def _describe_key(schema: dict[str, Any]) -> None:
    schema["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, operations in schema["paths"].items():
        if path not in _UNGUARDED:
            for operation in operations.values():
                operation["security"] = [{"key": []}]
