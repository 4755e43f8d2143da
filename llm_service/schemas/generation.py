"""Wire models of ``/api/llm/generate``."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from schemas.common import Text, WireModel

MAX_MESSAGES = 1024
MAX_STOPS = 8
MAX_STOP_CHARACTERS = 256


class Message(WireModel):
    """One turn of the conversation."""

    role: Literal["system", "user", "assistant"] = Field(description="system, user or assistant")
    content: Annotated[Text, Field(min_length=1)] = Field(description="What was said")


class JsonSchemaFormat(WireModel):
    """An answer that follows a JSON schema."""

    type: Literal["json_schema"]
    json_schema: dict[str, Any] = Field(description="The JSON schema the answer must follow")


class PlainFormat(WireModel):
    """Free text, or any JSON object."""

    type: Literal["text", "json_object"]


class GenerateRequest(WireModel):
    """A conversation to continue. Fields left out take the service's settings."""

    messages: list[Message] = Field(min_length=1, max_length=MAX_MESSAGES)
    max_new_tokens: int | None = Field(default=None, ge=1, le=32768, description="Tokens to generate at most")
    temperature: float | None = Field(
        default=None, ge=0.0, le=2.0, description="0 is greedy: always the likeliest token"
    )
    top_p: float | None = Field(default=None, ge=0.0, le=1.0, description="Nucleus sampling")
    stop: list[Annotated[Text, Field(min_length=1, max_length=MAX_STOP_CHARACTERS)]] | None = Field(
        default=None, max_length=MAX_STOPS, description="The answer ends before any of these"
    )
    seed: int | None = Field(
        default=None, ge=0, lt=2**63, description="Makes sampling repeatable, as far as the engine can"
    )
    stream: bool = Field(default=False, description="Answer as server-sent events")
    response_format: Annotated[JsonSchemaFormat | PlainFormat, Field(discriminator="type")] | None = None
    enable_thinking: bool | None = Field(default=None, description="Let a Qwen3 model think first")

    @field_validator("stop", mode="before")
    @classmethod
    def _one_stop_may_stand_alone(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


class Usage(WireModel):
    """Token counts."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class TimingsBody(WireModel):
    """Milliseconds from the request's arrival; tokens a second once it was running."""

    queue_ms: float
    ttft_ms: float
    total_ms: float
    tokens_per_second: float


class GenerateResponse(WireModel):
    """The answer, and how it came about."""

    answer: str
    reasoning_content: str | None = Field(description="What the model thought before it answered, if it was to think")
    model: str
    tokens_generated: int
    device: str
    finish_reason: Literal["stop", "length", "cancelled"]
    usage: Usage
    timings: TimingsBody
    cached: bool = Field(description="Whether the answer came from the response cache")
    request_id: str
