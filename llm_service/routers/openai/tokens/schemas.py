"""Wire models of ``/tokenize`` and ``/detokenize``, as vLLM has them."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from routers.openai.chat.request import ChatMessage
from routers.openai.fields import ModelName, OnlyNeutral
from schemas.common import WHOLE, RequestModel, Text, WireModel
from schemas.generation import MAX_MESSAGES, GenerationFields

MAX_CHARACTERS = 256 * 1024
"""A tokenizer reads these in some tenths of a second, during which no token is generated."""
MAX_TOKENS = 64 * 1024


class TokenizeRequest(GenerationFields):
    """A text, or a conversation as the model reads it: with its tools, its template and the beginning of an answer."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"prompt": "Hola mundo"}]})

    model: ModelName = Field(default="default", description="As in /v1/models, or default")
    prompt: Annotated[Text, Field(max_length=MAX_CHARACTERS)] | None = Field(
        default=None, description="A text; its control tokens are read as such"
    )
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)] | None = Field(
        default=None, description="A conversation, in place of the text"
    )
    add_special_tokens: bool | None = Field(default=None, description="Those around a text; default true")
    add_generation_prompt: Annotated[Any, OnlyNeutral(True)] = None  # noqa: FBT003 - a value, not a switch
    return_token_strs: Annotated[Any, OnlyNeutral(False)] = None  # noqa: FBT003 - a value, not a switch


class TokenizeResponse(WireModel):
    """Token ids of the language model."""

    count: int
    max_model_len: int = Field(description="Tokens that the model reads and writes together")
    tokens: list[int]


class DetokenizeRequest(RequestModel):
    """Token ids of the language model."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"tokens": [72, 111, 108, 97]}]})

    model: ModelName = Field(default="default", description="As in /v1/models, or default")
    tokens: list[Annotated[int, Field(ge=0, lt=2**31), WHOLE]] = Field(max_length=MAX_TOKENS)


class DetokenizeResponse(WireModel):
    """The text of token ids, control tokens included."""

    prompt: str
