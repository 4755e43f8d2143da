"""Wire models that several endpoints share."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

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
"""For integers: 5.0 is a whole number in JSON. Stands after the bounds, which the description lacks otherwise."""


class WireModel(BaseModel):
    """A request or response body: unknown fields are refused, NaN and infinities too, and nothing is
    converted: the text "384" is no number.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)


class ErrorDetail(BaseModel):
    """What went wrong. ``retryable``: the same request may succeed later."""

    type: str = Field(description="For programs: invalid_request, overloaded, …")
    message: str = Field(description="For people; begins with the field at fault, where there is one")
    request_id: str
    retryable: bool
    prompt_tokens: int = Field(default=0, description="Only with context_length_exceeded: tokens of the conversation")
    context_length: int = Field(default=0, description="Only with context_length_exceeded: what the model reads")


class ErrorBody(BaseModel):
    """Every error of ``/api/*`` has this body."""

    error: ErrorDetail
