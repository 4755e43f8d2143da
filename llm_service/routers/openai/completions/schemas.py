"""Wire models of ``/v1/completions``: a prompt is continued, without the model's chat template."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from routers.openai.chat.request import Choices, StreamOptions
from routers.openai.fields import ModelName, OnlyNeutral
from schemas.common import Text, WireModel
from schemas.generation import GenerationFields, TokenLimit, Usage

MAX_PROMPTS = 64
CHAT = "Use /v1/chat/completions instead"


def _texts_not_tokens(value: Any) -> Any:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and any(isinstance(item, int | list) for item in value):
        raise PydanticCustomError("token_ids", "token ids are not read; send text")
    return value


Prompt = Annotated[Text, Field(min_length=1)]
Prompts = Annotated[list[Prompt], Field(min_length=1, max_length=MAX_PROMPTS)]


class CompletionRequest(GenerationFields):
    """Prompts to continue."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"model": "default", "prompt": "The capital of Peru is", "max_tokens": 8}]}
    )

    model: ModelName = Field(description="As in /v1/models, or default")
    prompt: Annotated[Prompts, BeforeValidator(_texts_not_tokens, json_schema_input_type=Prompt | Prompts)] = Field(
        description="A text or a list of texts; control tokens in it are read as such"
    )
    max_tokens: TokenLimit | None = Field(default=None, description="Tokens to generate at most")
    n: Choices | None = Field(default=None, description="Answers to each prompt")
    echo: bool | None = Field(default=None, description="Repeat the prompt before the answer")
    stream_options: StreamOptions | None = Field(default=None, description="Only together with stream")

    best_of: Annotated[Any, OnlyNeutral(1)] = None
    logit_bias: Annotated[Any, OnlyNeutral({})] = None
    suffix: Annotated[Any, OnlyNeutral("")] = None
    logprobs: Annotated[Any, OnlyNeutral(0, False)] = None  # noqa: FBT003 - values, not switches
    top_logprobs: Annotated[Any, OnlyNeutral(0)] = None
    tools: Annotated[Any, OnlyNeutral([], instead=CHAT)] = None
    tool_choice: Annotated[Any, OnlyNeutral("none", "auto", instead=CHAT)] = None
    enable_thinking: Annotated[Any, OnlyNeutral(False, instead=CHAT)] = None  # noqa: FBT003 - a value, not a switch
    reasoning_effort: Annotated[Any, OnlyNeutral("none", instead=CHAT)] = None
    thinking_budget: Annotated[Any, OnlyNeutral(instead=CHAT)] = None
    chat_template_kwargs: Annotated[Any, OnlyNeutral({}, instead=CHAT)] = None


class CompletionChoice(WireModel):
    """One of the answers, or a piece of it; the last piece has a finish reason."""

    index: int
    text: str
    logprobs: None = None
    finish_reason: Literal["stop", "length"] | None


class CompletionBody(WireModel):
    """The answers, or in a stream pieces of them."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "cmpl-9dd6227c8219413793101f1cd6409c34",
                    "object": "text_completion",
                    "created": 1795424545,
                    "model": "Qwen/Qwen3-1.7B",
                    "system_fingerprint": "b0f1c2d3",
                    "choices": [{"index": 0, "text": " Lima.", "logprobs": None, "finish_reason": "stop"}],
                    "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8},
                }
            ]
        }
    )

    id: str
    object: Literal["text_completion"]
    created: int = Field(description="Seconds since 1970")
    model: str
    system_fingerprint: str | None
    choices: list[CompletionChoice]
    usage: Usage | None = Field(default=None, description="In a stream only with stream_options.include_usage")
