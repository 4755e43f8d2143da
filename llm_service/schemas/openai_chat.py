"""Wire model of requests to ``/v1/chat/completions``."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from schemas.common import WHOLE, Text, WireModel
from schemas.generation import MAX_MESSAGES, Seed, Stop, TokenLimit
from schemas.openai_fields import ModelName, OnlyNeutral

MAX_CHOICES = 8
Choices = Annotated[int, Field(ge=1, le=MAX_CHOICES), WHOLE]
THINKING = "Use enable_thinking, or chat_template_kwargs.enable_thinking"
TOOLS = "Describe the answer with response_format instead"


class TextPart(WireModel):
    """A piece of a message; only text can be read."""

    type: Literal["text"] = Field(description="Only text parts can be read")
    text: Text


def _as_parts(value: Any) -> Any:
    if isinstance(value, str):
        return [{"type": "text", "text": value}]
    if not isinstance(value, list):
        raise PydanticCustomError("content_type", "Input should be text or a list of text parts")
    return value


Parts = Annotated[list[TextPart], Field(min_length=1, max_length=MAX_MESSAGES)]
Content = Annotated[Parts, BeforeValidator(_as_parts, json_schema_input_type=str | Parts)]


class ChatMessage(WireModel):
    """One turn of the conversation. Answers of this service can be sent back as they came."""

    role: Literal["system", "developer", "user", "assistant"] = Field(
        description="developer is another word for system"
    )
    content: Content = Field(description="Text, or a list of text parts, which are read as paragraphs")
    name: Annotated[Any, OnlyNeutral()] = None
    refusal: Annotated[Any, OnlyNeutral("")] = None
    tool_calls: Annotated[Any, OnlyNeutral([], instead=TOOLS)] = None
    function_call: Annotated[Any, OnlyNeutral()] = None
    audio: Annotated[Any, OnlyNeutral()] = None
    annotations: Annotated[Any, OnlyNeutral([])] = None
    reasoning_content: Text | None = Field(
        default=None, description="What an earlier answer was preceded by; models are not shown it again"
    )

    @property
    def text(self) -> str:
        """The whole message."""
        return "\n".join(part.text for part in self.content)


class NamedSchema(WireModel):
    """A JSON schema as OpenAI wraps it."""

    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: Text | None = None
    schema_: dict[str, Any] = Field(alias="schema", description="The JSON schema the answer must follow")
    strict: bool | None = Field(default=None, description="Answers always follow the schema")


class NamedSchemaFormat(WireModel):
    """An answer that follows a JSON schema."""

    type: Literal["json_schema"]
    json_schema: NamedSchema


class PlainFormat(WireModel):
    """Free text, or any JSON object."""

    type: Literal["text", "json_object"]


class StreamOptions(WireModel):
    """What a stream contains beside the answer."""

    include_usage: bool | None = Field(default=None, description="A last chunk without choices counts the tokens")
    include_obfuscation: Annotated[Any, OnlyNeutral(False)] = None  # noqa: FBT003 - a value, not a switch


class TemplateArguments(WireModel):
    """What is passed to the model's chat template."""

    enable_thinking: bool | None = None


class ChatCompletionRequest(WireModel):
    """A conversation to continue. Fields left out take the service's settings; those that cannot be
    honoured are refused.
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
    temperature: float | None = Field(default=None, ge=0.0, le=2.0, description="0 is greedy")
    top_p: float | None = Field(default=None, ge=0.0, le=1.0, description="Nucleus sampling")
    n: Choices | None = Field(default=None, description="Answers, side by side; LLM_MAX_BATCH bounds it too")
    stop: Stop = Field(default=None, description="The answer ends before any of these")
    seed: Seed | None = Field(
        default=None, description="Makes sampling repeatable; the choice with index i uses seed + i"
    )
    stream: bool | None = Field(default=None, description="Answer as server-sent events")
    stream_options: StreamOptions | None = Field(default=None, description="Only together with stream")
    response_format: Annotated[NamedSchemaFormat | PlainFormat, Field(discriminator="type")] | None = None
    enable_thinking: bool | None = Field(default=None, description="Let a model that can think first")
    chat_template_kwargs: TemplateArguments | None = Field(default=None, description="enable_thinking, as vLLM has it")

    # Notes of the client to itself: there is nothing to honour.
    user: Text | None = None
    safety_identifier: Text | None = None
    prompt_cache_key: Text | None = None
    metadata: dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None

    audio: Annotated[Any, OnlyNeutral()] = None
    frequency_penalty: Annotated[Any, OnlyNeutral(0)] = None
    function_call: Annotated[Any, OnlyNeutral("none", instead=TOOLS)] = None
    functions: Annotated[Any, OnlyNeutral([], instead=TOOLS)] = None
    logit_bias: Annotated[Any, OnlyNeutral({})] = None
    logprobs: Annotated[Any, OnlyNeutral(False)] = None  # noqa: FBT003 - a value, not a switch
    modalities: Annotated[Any, OnlyNeutral(["text"])] = None
    moderation: Annotated[Any, OnlyNeutral()] = None
    prediction: Annotated[Any, OnlyNeutral()] = None
    presence_penalty: Annotated[Any, OnlyNeutral(0)] = None
    prompt_cache_options: Annotated[Any, OnlyNeutral()] = None
    prompt_cache_retention: Annotated[Any, OnlyNeutral("in_memory")] = None
    reasoning_effort: Annotated[Any, OnlyNeutral(instead=THINKING)] = None
    service_tier: Annotated[Any, OnlyNeutral("auto", "default")] = None
    store: Annotated[Any, OnlyNeutral(False)] = None  # noqa: FBT003 - a value, not a switch
    tool_choice: Annotated[Any, OnlyNeutral("none", "auto", instead=TOOLS)] = None
    tools: Annotated[Any, OnlyNeutral([], instead=TOOLS)] = None
    top_logprobs: Annotated[Any, OnlyNeutral(0)] = None
    verbosity: Annotated[Any, OnlyNeutral("medium")] = None
    web_search_options: Annotated[Any, OnlyNeutral()] = None
