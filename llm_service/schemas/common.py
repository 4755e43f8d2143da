"""Wire models shared by several endpoints."""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

NO_NULL_CHARACTER = r"^[^\u0000]*$"


def _is_text(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain null characters")
    if not value.isprintable() and any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("must not contain unpaired surrogates")
    return value


def _without_fraction(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Text = Annotated[str, AfterValidator(_is_text), Field(json_schema_extra={"pattern": NO_NULL_CHARACTER})]
"""Text that can be encoded and tokenized."""

WHOLE = BeforeValidator(_without_fraction)
"""For integers: 5.0 is an integer in JSON. Must follow the bounds, or the API description would omit them."""


def example(**fields: Any) -> ConfigDict:
    """Return the configuration of a model with an example for the API's description."""
    return ConfigDict(json_schema_extra={"examples": [fields]})


class WireModel(BaseModel):
    """Base of request and response bodies: rejects unknown fields, NaN and infinities, and converts no
    types (the text "384" is not a number).
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)


class RequestModel(WireModel):
    """Base of requests that clients of many kinds send: ``null`` means left out, unknown fields are ignored and named
    by ``unknown_fields``.
    """

    model_config = ConfigDict(extra="allow")

    @model_validator(mode="before")
    @classmethod
    def _without_null(cls, body: Any) -> Any:
        return {name: value for name, value in body.items() if value is not None} if isinstance(body, dict) else body

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe that fields which may be left out may be ``null``."""
        described = handler(schema)
        resolved = handler.resolve_ref_schema(described)
        required = resolved.get("required", ())
        for name, field in resolved.get("properties", {}).items():
            if name not in required and not _allows_null(field):
                words = {key: field.pop(key) for key in ("description", "title", "default") if key in field}
                resolved["properties"][name] = {"anyOf": [field, {"type": "null"}], **words}
        return described


def _allows_null(field: JsonSchemaValue) -> bool:
    if not field.keys() - {"description", "title", "default"}:
        return True
    options = field.get("anyOf", [field])
    return any(option.get("type") == "null" or None in option.get("enum", ()) for option in options)


def unknown_fields(value: Any, path: str = "") -> Iterator[str]:
    """Yield the names of the unknown fields of a request: ``top_a``, ``messages[0].mood``."""
    if isinstance(value, list):
        for at, item in enumerate(value):
            yield from unknown_fields(item, f"{path}[{at}]")
    elif isinstance(value, BaseModel):
        prefix = f"{path}." if path else ""
        yield from (f"{prefix}{name}" for name in value.model_extra or ())
        for name in type(value).model_fields:
            yield from unknown_fields(getattr(value, name), f"{prefix}{name}")


class ErrorDetail(BaseModel):
    """The error. ``retryable``: the same request may succeed later."""

    type: str = Field(description="For programs: invalid_request, overloaded, …")
    message: str = Field(description="For people; begins with the field at fault, where there is one")
    request_id: str
    retryable: bool
    prompt_tokens: int = Field(default=0, description="Only with context_length_exceeded: tokens of the conversation")
    context_length: int = Field(
        default=0, description="Only with context_length_exceeded: most tokens that the model reads"
    )


class ErrorBody(BaseModel):
    """Every error of ``/api/*`` has this body."""

    error: ErrorDetail
