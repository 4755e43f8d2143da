"""Wire models that several endpoints share."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict


def _is_text(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain null characters")
    if not value.isprintable() and any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("must not contain unpaired surrogates")
    return value


Text = Annotated[str, AfterValidator(_is_text)]
"""Text that can be encoded and tokenized."""


class WireModel(BaseModel):
    """A request or response body: unknown fields are refused, NaN and infinities too."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class ErrorDetail(BaseModel):
    """What went wrong. ``retryable``: the same request may succeed later."""

    type: str
    message: str
    request_id: str
    retryable: bool


class ErrorBody(BaseModel):
    """Every error of ``/api/*`` has this body."""

    error: ErrorDetail
