"""Wire models of ``/v1/responses``."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag

from routers.openai.fields import ModelName, OnlyNeutral
from schemas.common import RequestModel, Text, WireModel, example
from schemas.generation import MAX_MESSAGES, AnswerFields, Effort, TokenLimit
from schemas.tools import (
    KIND_OF_CHOICE,
    MAX_TOOLS,
    FunctionDefinition,
    FunctionName,
    NamedSchema,
    PlainFormat,
    SchemaName,
    ToolMode,
)

STATELESS = "Nothing is stored here: send the whole conversation in input"
LOGPROBS = "message.output_text.logprobs"


class InputText(RequestModel):
    """Part of a message; only text is supported."""

    type: Literal["input_text", "output_text", "text"] = Field(description="Only text parts can be read")
    text: Text
    annotations: Any = Field(default=None, description="Without effect")
    logprobs: Any = Field(default=None, description="Without effect")


def _as_parts(value: Any) -> Any:
    return [{"type": "input_text", "text": value}] if isinstance(value, str) else value


Parts = Annotated[list[InputText], Field(max_length=MAX_MESSAGES)]
Content = Annotated[Parts, BeforeValidator(_as_parts, json_schema_input_type=Text | Parts)]
CallId = Annotated[Text, Field(min_length=1, max_length=256)]
Ignored = Annotated[Any, Field(description="Without effect")]


class _Item(RequestModel):
    id: Ignored = None
    status: Ignored = None


class InputMessage(_Item):
    """One turn of the conversation. Accepts messages of earlier answers unchanged."""

    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: Content
    phase: Ignored = None


class InputCall(_Item):
    """A tool call in an earlier answer."""

    type: Literal["function_call"]
    call_id: CallId
    name: Annotated[Text, Field(min_length=1, max_length=256)]
    arguments: Text


class InputCallOutput(_Item):
    """The result of a called function."""

    type: Literal["function_call_output"]
    call_id: CallId
    output: Content


class InputReasoning(_Item):
    """The thought before an earlier answer; models are not shown it again."""

    type: Literal["reasoning"]
    summary: Ignored = None
    content: Ignored = None
    encrypted_content: Ignored = None


def _kind(item: Any) -> str:
    """Return an item's type; that of a message may be left out."""
    kind = item.get("type") if isinstance(item, dict) else getattr(item, "type", None)
    return str(kind or "message")


InputItem = Annotated[
    Annotated[InputMessage, Tag("message")]
    | Annotated[InputCall, Tag("function_call")]
    | Annotated[InputCallOutput, Tag("function_call_output")]
    | Annotated[InputReasoning, Tag("reasoning")],
    Discriminator(
        _kind,
        "unknown_kind",
        "Input should be of the type message, function_call, function_call_output or reasoning",
    ),
]


def _as_items(value: Any) -> Any:
    return [{"type": "message", "role": "user", "content": value}] if isinstance(value, str) else value


InputItems = Annotated[list[InputItem], Field(min_length=1, max_length=MAX_MESSAGES)]
Input = Annotated[InputItems, BeforeValidator(_as_items, json_schema_input_type=Text | InputItems)]


class _OfFunction(RequestModel):
    type: Literal["function"]


class ResponseTool(FunctionDefinition, _OfFunction):
    """A function that the model may call; tools that run on OpenAI's side are refused."""


class ResponseNamedTool(FunctionName, _OfFunction):
    """The one tool that must be called."""


class ResponseAllowedTools(RequestModel):
    """A choice among some of the tools."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: Annotated[list[ResponseNamedTool], Field(min_length=1, max_length=MAX_TOOLS)]


ResponseToolChoice = Annotated[
    Annotated[ToolMode, Tag("mode")]
    | Annotated[ResponseNamedTool, Tag("function")]
    | Annotated[ResponseAllowedTools, Tag("allowed_tools")],
    KIND_OF_CHOICE,
]


class SchemaFormat(NamedSchema):
    """An answer that follows a JSON schema."""

    type: Literal["json_schema"]
    name: SchemaName = "answer"


class TextOptions(RequestModel):
    """The format of the answer."""

    format: Annotated[SchemaFormat | PlainFormat, Field(discriminator="type")] | None = None
    verbosity: Annotated[Any, OnlyNeutral("medium")] = None


class ReasoningOptions(RequestModel):
    """How long to think."""

    effort: Effort | None = None
    summary: Ignored = None
    generate_summary: Ignored = None


class ResponseStreamOptions(RequestModel):
    """Additional content of a stream."""

    include_obfuscation: Annotated[Any, OnlyNeutral(False)] = None  # noqa: FBT003 - a value, not a switch


class ResponsesRequest(AnswerFields):
    """A conversation to continue."""

    model_config = example(model="default", input="What is the capital of Peru?")

    model: ModelName = Field(description="As in /v1/models, or default")
    input: Input = Field(description="A question, or the turns, calls and results of a conversation")
    instructions: Text | None = Field(default=None, description="A system message before the input")
    max_output_tokens: TokenLimit | None = Field(default=None, description="Tokens to generate at most")
    stream_options: ResponseStreamOptions | None = None
    tools: Annotated[list[ResponseTool], Field(max_length=MAX_TOOLS)] | None = None
    tool_choice: ResponseToolChoice | None = None
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    include: list[Text] | None = Field(default=None, description=f"{LOGPROBS}; others have no effect")

    background: Annotated[Any, OnlyNeutral(False)] = None  # noqa: FBT003 - a value, not a switch
    conversation: Annotated[Any, OnlyNeutral(instead=STATELESS)] = None
    max_tool_calls: Annotated[Any, OnlyNeutral()] = None
    previous_response_id: Annotated[Any, OnlyNeutral(instead=STATELESS)] = None
    prompt: Annotated[Any, OnlyNeutral(instead=STATELESS)] = None
    truncation: Annotated[Any, OnlyNeutral("disabled")] = None


class ResponseBody(WireModel):
    """A response: its output as items, and what was asked."""

    model_config = ConfigDict(extra="allow")

    id: str
    object: Literal["response"]
    created_at: int = Field(description="Seconds since 1970")
    status: Literal["in_progress", "completed", "incomplete", "failed"]
    model: str
    output: list[dict[str, Any]] = Field(description="Items of the types reasoning, message and function_call")
    error: dict[str, Any] | None
    incomplete_details: dict[str, Any] | None = Field(description="Why it is incomplete: max_output_tokens")
    usage: dict[str, Any] | None = Field(description="Token counts; those of thoughts and of cached prompts are 0")


class ResponseEvent(WireModel):
    """An event of a stream; further fields by its type."""

    model_config = ConfigDict(extra="allow")

    type: str
    sequence_number: int
