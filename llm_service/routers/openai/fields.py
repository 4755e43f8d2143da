"""Field types shared by several of OpenAI's requests."""

from typing import Annotated, Any

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from schemas.common import Text

ModelName = Annotated[Text, Field(min_length=1, max_length=512)]


def texts_not_tokens(value: Any) -> Any:
    """Make a list of one text; refuse token ids."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and any(isinstance(item, int | list) for item in value):
        advice = "send text (LangChain's OpenAIEmbeddings: check_embedding_ctx_length=False)"
        raise PydanticCustomError("token_ids", f"token ids belong to another model's tokenizer; {advice}")
    return value


class OnlyNeutral:
    """Accepts an unsupported field only at values without effect, which many clients send.

    ``None`` is always accepted; ``neutral`` are the other accepted values, ``instead`` is the advice for the caller.
    """

    def __init__(self, *neutral: Any, instead: str = "") -> None:
        self._neutral = neutral
        self._instead = instead

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate with ``_check`` alone."""
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """List the accepted values."""
        return {"enum": [None, *self._neutral]}

    def _check(self, value: Any) -> None:
        if value is None or any(_same(value, neutral) for neutral in self._neutral):
            return
        message = "not supported by this service; leave it out"
        if self._instead:
            message = f"{message}. {self._instead}"
        raise PydanticCustomError("unsupported_parameter", "{message}", {"message": message})


def _same(value: Any, neutral: Any) -> bool:
    # False equals 0 in Python, but not in JSON.
    return isinstance(value, bool) == isinstance(neutral, bool) and bool(value == neutral)
