"""Kinds of fields that several of OpenAI's requests have."""

from typing import Annotated, Any

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from schemas.common import Text

ModelName = Annotated[Text, Field(min_length=1, max_length=512)]


class OnlyNeutral:
    """Accepts a field at values that change nothing, which clients like to send, and refuses others.

    ``None`` is always one of them; ``neutral`` are the rest, ``instead`` what to do.
    """

    def __init__(self, *neutral: Any, instead: str = "") -> None:
        self._neutral = neutral
        self._instead = instead

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate with ``_check`` alone."""
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """List the values that are accepted."""
        return {"enum": [None, *self._neutral]}

    def _check(self, value: Any) -> None:
        if value is None or any(_same(value, neutral) for neutral in self._neutral):
            return
        message = "not supported by this service; leave it out"
        if self._instead:
            message = f"{message}. {self._instead}"
        raise PydanticCustomError("unsupported_parameter", "{message}", {"message": message})


def _same(value: Any, neutral: Any) -> bool:
    # In Python False is 0, in JSON it is not.
    return isinstance(value, bool) == isinstance(neutral, bool) and bool(value == neutral)
