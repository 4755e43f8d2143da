"""Base classes of the wire models."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class Wire(BaseModel):
    """Base of the wire models: rejects unknown fields and converts no types (the text "5" is not a number)."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)


class Reply(BaseModel):
    """Base of responses; made from the services' records by their attributes, whose docstrings describe them too."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, from_attributes=True, use_attribute_docstrings=True)


def with_examples(*examples: dict[str, Any]) -> ConfigDict:
    """Return the configuration of a model with examples in its description."""
    return ConfigDict(json_schema_extra={"examples": list(examples)})
