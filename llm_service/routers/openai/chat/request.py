"""Wire model of requests to ``/v1/chat/completions``."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from routers.openai.fields import ModelName, OnlyNeutral
from schemas.common import WHOLE, RequestModel, Text
from schemas.generation import MAX_MESSAGES, GenerationFields, TokenLimit, Turn

MAX_CHOICES = 8
Choices = Annotated[int, Field(ge=1, le=MAX_CHOICES), WHOLE]
TOOLS = "Send tools and tool_choice instead"


class TextPart(RequestModel):
    """Part of a message; only text is supported."""

    type: Literal["text"] = Field(description="Only text parts can be read")
    text: Text
    cache_control: Any = Field(default=None, description="Without effect")


def _as_parts(value: Any) -> Any:
    if isinstance(value, str):
        return [{"type": "text", "text": value}]
    if not isinstance(value, list):
        raise PydanticCustomError("content_type", "Input should be text or a list of text parts")
    return value


Parts = Annotated[list[TextPart], Field(min_length=1, max_length=MAX_MESSAGES)]
Content = Annotated[Parts, BeforeValidator(_as_parts, json_schema_input_type=str | Parts)]


class ChatMessage(Turn):
    """One turn of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"] = Field(
        description="developer is another word for system"
    )
    content: Content | None = Field(
        default=None,
        validate_default=True,
        description="Text, or a list of text parts, which are read as paragraphs; may be left out beside tool_calls",
    )
    refusal: Annotated[Any, OnlyNeutral("")] = None
    function_call: Annotated[Any, OnlyNeutral()] = None
    audio: Annotated[Any, OnlyNeutral()] = None
    annotations: Annotated[Any, OnlyNeutral([])] = None
    id: Text | None = Field(default=None, description="Without effect")

    @property
    def text(self) -> str | None:
        """The text of all parts."""
        return None if self.content is None else "\n".join(part.text for part in self.content)


class StreamOptions(RequestModel):
    """Additional content of a stream."""

    include_usage: bool | None = Field(default=None, description="A last chunk without choices counts the tokens")
    include_obfuscation: Annotated[Any, OnlyNeutral(False)] = None  # noqa: FBT003 - a value, not a switch


class ChatCompletionRequest(GenerationFields):
    """A conversation to continue. Omitted fields default to the service's settings; unsupported ones
    are rejected.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "default",
                    "messages": [{"role": "user", "content": "What is the capital of Peru?"}],
                    "temperature": 0,
                    "max_tokens": 64,
                }
            ]
        }
    )

    model: ModelName = Field(description="As in /v1/models, or default")
    messages: list[ChatMessage] = Field(min_length=1, max_length=MAX_MESSAGES)
    max_tokens: TokenLimit | None = Field(default=None, description="Tokens to generate at most")
    max_completion_tokens: TokenLimit | None = Field(default=None, description="The same by its newer name")
    n: Choices | None = Field(default=None, description="Answers, side by side; LLM_MAX_BATCH bounds it too")
    stream_options: StreamOptions | None = Field(default=None, description="Only together with stream")

    audio: Annotated[Any, OnlyNeutral()] = None
    function_call: Annotated[Any, OnlyNeutral("none", instead=TOOLS)] = None
    functions: Annotated[Any, OnlyNeutral([], instead=TOOLS)] = None
    logit_bias: Annotated[Any, OnlyNeutral({})] = None
    modalities: Annotated[Any, OnlyNeutral(["text"])] = None
    moderation: Annotated[Any, OnlyNeutral()] = None
    verbosity: Annotated[Any, OnlyNeutral("medium")] = None
    web_search_options: Annotated[Any, OnlyNeutral()] = None
