"""What FastAPI's ``/openapi.json`` leaves out or gets wrong."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel

from routers.openai_errors import speaks_openai
from schemas.common import ErrorBody
from schemas.generation import GenerateResponse, TextPiece, ThoughtPiece
from schemas.health import HealthResponse
from schemas.openai_chat_answer import ChatCompletion, ChatCompletionChunk
from schemas.openai_error import OpenAIErrorBody

TAGS = [
    {"name": "LLM", "description": "Conversations, embeddings and the service's state"},
    {"name": "OpenAI", "description": "The same models for OpenAI's own clients: `base_url=http://HOST:8001/v1`"},
    {"name": "Operations", "description": "For load balancers and whoever runs the service"},
]
_REFERENCE = "#/components/schemas/{model}"
_STREAMS: dict[str, tuple[type[BaseModel], ...]] = {
    "/api/llm/generate": (TextPiece, ThoughtPiece, GenerateResponse, ErrorBody),
    "/v1/chat/completions": (ChatCompletionChunk, OpenAIErrorBody),
}
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
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
    _drop_unused_422(schema)
    for path, models in _STREAMS.items():
        _describe_stream(schema, path, models)
    for model in (ChatCompletion, HealthResponse):
        # FastAPI leaves out what is null in them.
        schema["components"]["schemas"][model.__name__]["examples"] = model.model_json_schema()["examples"]
    for _, operation in _operations(schema):
        _drop_null(operation.get("parameters", []))
        for response in operation["responses"].values():
            response["headers"] = response.get("headers", {}) | {"X-Request-ID": _REQUEST_ID}
    _write_whole_numbers_as_such(schema)
    if asks_for_key:
        _describe_key(schema)


def _operations(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            yield path, operation


def _drop_unused_422(schema: dict[str, Any]) -> None:
    """FastAPI adds its own 422 wherever there are parameters; OpenAI's clients get 400."""
    for path, operation in _operations(schema):
        if speaks_openai(path):
            operation["responses"].pop("422", None)
    for unused in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(unused, None)


def _drop_null(parameters: list[dict[str, Any]]) -> None:
    """A header is sent or not; null, which FastAPI describes for optional ones, would be a text of four letters."""
    for parameter in parameters:
        match parameter["schema"]:
            case {"anyOf": [kind, {"type": "null"}]}:
                del parameter["schema"]["anyOf"]
                parameter["schema"] |= kind


def _describe_stream(schema: dict[str, Any], path: str, models: tuple[type[BaseModel], ...]) -> None:
    """Describe each event, in the way FastAPI does for streams that it makes itself."""
    components = schema["components"]["schemas"]
    for model in models:
        described = model.model_json_schema(ref_template=_REFERENCE, mode="serialization")
        components |= described.pop("$defs", {})
        components[model.__name__] = described
    references = [{"$ref": _REFERENCE.format(model=model.__name__)} for model in models]
    streamed = schema["paths"][path]["post"]["responses"]["200"]["content"]["text/event-stream"]
    streamed["itemSchema"] = {
        "type": "object",
        "properties": {
            "event": {"type": "string", "description": "error, when the stream broke"},
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


def _write_whole_numbers_as_such(node: Any) -> None:
    """FastAPI makes floats of all bounds; JSON's 9.223372036854776e+18 is more than 2**63."""
    children = node if isinstance(node, list) else node.values() if isinstance(node, dict) else ()
    if isinstance(node, dict) and node.get("type") == "integer":
        node |= {name: int(node[name]) for name in _BOUNDS if name in node}
    for child in children:
        _write_whole_numbers_as_such(child)


def _describe_key(schema: dict[str, Any]) -> None:
    schema["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, operation in _operations(schema):
        if path not in _UNGUARDED:
            operation["security"] = [{"key": []}]
