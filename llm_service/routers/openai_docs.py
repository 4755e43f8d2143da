"""What FastAPI's description of ``/v1/*`` leaves out or gets wrong."""

from typing import Any

from fastapi import FastAPI

from routers.openai_errors import speaks_openai
from schemas.openai_chat_answer import ChatCompletionChunk

_REFERENCE = "#/components/schemas/{model}"


def install(app: FastAPI) -> None:
    """Correct the description whenever it is made."""
    describe = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            _correct(describe())
        return describe()

    # FastAPI's documented way to extend what it describes.
    app.openapi = described  # type: ignore[method-assign]


def _correct(schema: dict[str, Any]) -> None:
    """Add the chunks of a stream; drop the 422, for which OpenAI's clients get 400."""
    chunk = ChatCompletionChunk.model_json_schema(ref_template=_REFERENCE, mode="serialization")
    components = schema["components"]["schemas"]
    components |= chunk.pop("$defs", {})
    components[ChatCompletionChunk.__name__] = chunk
    for path, operations in schema["paths"].items():
        if speaks_openai(path):
            for operation in operations.values():
                operation["responses"].pop("422", None)
    streamed = schema["paths"]["/v1/chat/completions"]["post"]["responses"]["200"]["content"]["text/event-stream"]
    streamed["schema"] = {"$ref": _REFERENCE.format(model=ChatCompletionChunk.__name__)}
