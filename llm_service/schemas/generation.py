"""Wire models of ``/api/llm/generate``."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from schemas.common import WHOLE, Text, WireModel

MAX_MESSAGES = 1024
MAX_STOPS = 8
MAX_STOP_CHARACTERS = 256

TokenLimit = Annotated[int, Field(ge=1, le=32768), WHOLE]
Seed = Annotated[int, Field(ge=0, lt=2**63), WHOLE]


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


StopText = Annotated[Text, Field(min_length=1, max_length=MAX_STOP_CHARACTERS)]
StopTexts = Annotated[list[StopText], Field(max_length=MAX_STOPS)] | None
Stop = Annotated[StopTexts, BeforeValidator(_as_list, json_schema_input_type=StopText | StopTexts)]


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

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "messages": [{"role": "user", "content": "What is the capital of Peru?"}],
                    "max_new_tokens": 64,
                    "temperature": 0,
                }
            ]
        }
    )

    messages: list[Message] = Field(min_length=1, max_length=MAX_MESSAGES)
    max_new_tokens: TokenLimit | None = Field(default=None, description="Tokens to generate at most")
    temperature: float | None = Field(
        default=None, ge=0.0, le=2.0, description="0 is greedy: always the likeliest token"
    )
    top_p: float | None = Field(default=None, ge=0.0, le=1.0, description="Nucleus sampling")
    stop: Stop = Field(default=None, description="The answer ends before any of these")
    seed: Seed | None = Field(
        default=None, description="The same request and seed, the same text; such requests run one at a time"
    )
    stream: bool = Field(default=False, description="Answer as server-sent events")
    response_format: Annotated[JsonSchemaFormat | PlainFormat, Field(discriminator="type")] | None = None
    enable_thinking: bool | None = Field(default=None, description="Let a Qwen3 model think first")


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

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "answer": "The capital of Peru is Lima.",
                    "reasoning_content": None,
                    "model": "HuggingFaceTB/SmolLM2-135M-Instruct",
                    "tokens_generated": 8,
                    "device": "cpu",
                    "finish_reason": "stop",
                    "usage": {"prompt_tokens": 37, "completion_tokens": 8, "total_tokens": 45},
                    "timings": {"queue_ms": 0.1, "ttft_ms": 51.1, "total_ms": 128.0, "tokens_per_second": 62.5},
                    "cached": False,
                    "request_id": "27b427597d5047b994d25cc1718e1ec9",
                }
            ]
        }
    )

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


class TextPiece(WireModel):
    """An event of a stream: what the answer goes on with."""

    delta: str


class ThoughtPiece(WireModel):
    """An event of a stream: what the thought goes on with."""

    reasoning_delta: str
