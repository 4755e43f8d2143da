"""Wire models of answers from ``/v1/responses``."""

from typing import Any, Literal

from pydantic import ConfigDict, Field

from schemas.common import WireModel


class OutputText(WireModel):
    """The text of an answer."""

    type: Literal["output_text"]
    text: str
    annotations: list[Any]
    logprobs: list[Any]


class ReasoningText(WireModel):
    """The text of a thought."""

    type: Literal["reasoning_text"]
    text: str


class OutputMessage(WireModel):
    """The answer."""

    type: Literal["message"]
    id: str
    role: Literal["assistant"]
    content: list[OutputText]
    status: Literal["in_progress", "completed", "incomplete"]


class OutputReasoning(WireModel):
    """The thought before the answer."""

    type: Literal["reasoning"]
    id: str
    summary: list[Any]
    content: list[ReasoningText]
    status: Literal["in_progress", "completed", "incomplete"]


class OutputCall(WireModel):
    """A call that the model asks for; ``arguments`` is the text of a JSON object."""

    type: Literal["function_call"]
    id: str
    call_id: str
    name: str
    arguments: str
    status: Literal["in_progress", "completed", "incomplete"]


class TokenDetails(WireModel):
    """Tokens of one kind; not counted by themselves here, so 0."""

    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class ResponseUsage(WireModel):
    """Token counts."""

    input_tokens: int
    input_tokens_details: TokenDetails
    output_tokens: int
    output_tokens_details: TokenDetails
    total_tokens: int


class ResponseBody(WireModel):
    """A response: its output as items, and what was asked."""

    model_config = ConfigDict(extra="allow")

    id: str
    object: Literal["response"]
    created_at: int = Field(description="Seconds since 1970")
    status: Literal["in_progress", "completed", "incomplete", "failed"]
    model: str
    output: list[OutputMessage | OutputReasoning | OutputCall]
    error: dict[str, Any] | None
    incomplete_details: dict[str, Any] | None = Field(description="Why it is incomplete: max_output_tokens")
    instructions: str | None
    max_output_tokens: int | None
    metadata: dict[str, Any]
    parallel_tool_calls: bool
    previous_response_id: None
    reasoning: dict[str, Any]
    store: bool
    temperature: float
    text: dict[str, Any]
    tool_choice: str | dict[str, Any]
    tools: list[dict[str, Any]]
    top_p: float
    truncation: Literal["disabled"]
    usage: ResponseUsage | None
    user: str | None


class ResponseEvent(WireModel):
    """An event of a stream; further fields by its type."""

    model_config = ConfigDict(extra="allow")

    type: str
    sequence_number: int
