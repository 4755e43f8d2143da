"""Wire models of ``/api/llm/generate``."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from schemas.common import WHOLE, RequestModel, Text, WireModel, example
from schemas.tools import (
    MAX_TOOLS,
    EarlierCall,
    Logprobs,
    ResponseFormat,
    StructuredOutputs,
    ToolCall,
    ToolCallPiece,
    ToolChoice,
    Tools,
)

MAX_MESSAGES = 1024
MAX_STOPS = 8
MAX_STOP_CHARACTERS = 256

TokenLimit = Annotated[int, Field(ge=1, le=32768), WHOLE]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]
Seed = Annotated[int, Field(ge=0, lt=2**63), WHOLE]


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


StopText = Annotated[Text, Field(min_length=1, max_length=MAX_STOP_CHARACTERS)]
StopTexts = Annotated[list[StopText], Field(max_length=MAX_STOPS)] | None
Stop = Annotated[StopTexts, BeforeValidator(_as_list, json_schema_input_type=StopText | StopTexts)]


class Turn(RequestModel):
    """Base of all turns of a conversation; accepts answers of this service unchanged."""

    role: Literal["system", "developer", "user", "assistant", "tool"] = Field(
        description="system, user, assistant or tool; developer is another word for system"
    )
    name: Annotated[Text, Field(max_length=256)] | None = Field(
        default=None, description="Name of a participant; only an upstream gets it"
    )
    tool_calls: Annotated[list[EarlierCall], Field(max_length=MAX_TOOLS)] | None = Field(
        default=None, description="Tool calls of an earlier answer"
    )
    tool_call_id: Annotated[Text, Field(max_length=256)] | None = Field(
        default=None, description="The call that a turn of the role tool answers"
    )
    reasoning_content: Text | None = Field(
        default=None, description="Thought of an earlier answer; models do not get it again"
    )

    @field_validator("content", check_fields=False)
    @classmethod
    def _says_something(cls, content: Any, turn: ValidationInfo) -> Any:
        if content is None and not turn.data.get("tool_calls"):
            raise PydanticCustomError("missing", "Field required, except beside tool_calls")
        return content

    @property
    def text(self) -> str | None:
        """The text of the turn."""
        raise NotImplementedError


class Message(Turn):
    """One turn of the conversation."""

    content: Annotated[Text, Field(min_length=1)] | None = Field(
        default=None, validate_default=True, description="Text of the turn; may be omitted beside tool_calls"
    )

    @property
    def text(self) -> str | None:
        """The text of the turn."""
        return self.content


class TemplateArguments(RequestModel):
    """Arguments of the model's chat template."""

    enable_thinking: bool | None = None


class WithoutEffect(RequestModel):
    """Fields that change nothing in the answer."""

    user: Text | None = None
    metadata: dict[str, Any] | None = None
    store: bool | None = Field(default=None, description="Nothing is stored")
    service_tier: Text | None = None
    safety_identifier: Text | None = None
    prompt_cache_key: Text | None = None
    prompt_cache_retention: Text | None = None


class AnswerFields(WithoutEffect):
    """Fields that mean the same to every route, ``/v1/responses`` included. Omitted ones default to the settings."""

    temperature: float | None = Field(
        default=None, ge=0.0, le=2.0, description="0 is greedy: always the likeliest token"
    )
    top_p: float | None = Field(default=None, ge=0.0, le=1.0, description="Nucleus sampling")
    stream: bool | None = Field(default=None, description="Answer as server-sent events")
    top_logprobs: Annotated[int, Field(ge=0, le=20), WHOLE] | None = Field(
        default=None, description="Likeliest tokens in the place of each; only with logprobs"
    )
    parallel_tool_calls: bool | None = Field(default=None, description="Whether one answer may make several calls")


class GenerationFields(AnswerFields):
    """Fields of the routes that take a conversation or a prompt."""

    top_k: Annotated[int, Field(ge=-1, le=1_000_000), WHOLE] | None = Field(
        default=None, description="Candidates for each token; 0 or -1 for all"
    )
    min_p: float | None = Field(default=None, ge=0.0, le=1.0, description="Least share of the likeliest token's chance")
    presence_penalty: float | None = Field(default=None, ge=-2.0, le=2.0)
    frequency_penalty: float | None = Field(default=None, ge=-2.0, le=2.0)
    repetition_penalty: float | None = Field(default=None, gt=0.0, le=10.0, description="1 changes nothing")
    stop: Stop = Field(default=None, description="The answer ends before any of these")
    seed: Seed | None = Field(
        default=None, description="Repeatable sampling, best effort in a batch; the response cache repeats the answer"
    )
    logprobs: bool | None = Field(default=None, description="Report the log probability of each token of the answer")
    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = Field(default=None, description="As vLLM has it")
    tools: Tools | None = Field(default=None, description="Functions that the model may call")
    tool_choice: ToolChoice | None = None
    enable_thinking: bool | None = Field(default=None, description="Let a model that can think first")
    chat_template_kwargs: TemplateArguments | None = Field(default=None, description="enable_thinking, as vLLM has it")
    reasoning_effort: Effort | None = Field(
        default=None, description="none: no thinking; else thinking, closed after a number of tokens"
    )
    thinking_budget: Annotated[int, Field(ge=1, le=32768), WHOLE] | None = Field(
        default=None, description="Tokens after which a thought is closed"
    )
    keep_alive: float | Text | None = Field(default=None, description="Without effect, as prediction")
    prediction: dict[str, Any] | None = None


class GenerateRequest(GenerationFields):
    """A conversation to continue."""

    model_config = example(
        messages=[{"role": "user", "content": "What is the capital of Peru?"}], max_new_tokens=64, temperature=0
    )

    messages: list[Message] = Field(min_length=1, max_length=MAX_MESSAGES)
    max_new_tokens: TokenLimit | None = Field(default=None, description="Tokens to generate at most")


class Usage(WireModel):
    """Token counts."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds since the request's arrival; tokens per second after admission."""

    queue_ms: float
    ttft_ms: float
    total_ms: float
    tokens_per_second: float


class GenerateResponse(WireModel):
    """The answer with its usage and timings."""

    answer: str
    reasoning_content: str | None = Field(description="The thought before the answer, where there was one")
    model: str
    tokens_generated: int
    device: str
    tool_calls: list[ToolCall] | None = Field(default=None, description="Calls that the model asks for")
    logprobs: Logprobs | None = None
    finish_reason: Literal["stop", "length", "tool_calls"]
    usage: Usage
    timings: Timings
    cached: bool = Field(description="Whether the answer came from the response cache")
    degraded: bool = Field(description="Whether a model other than the configured one answered")
    request_id: str


class AnswerPiece(WireModel):
    """Event of a stream: the next part of the answer, of the thought or of a call."""

    delta: str | None = None
    reasoning_delta: str | None = None
    tool_call_delta: ToolCallPiece | None = None
