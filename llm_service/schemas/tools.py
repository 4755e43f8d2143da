"""Wire models of tools, calls and structured output, as in the APIs of OpenAI and vLLM."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from schemas.common import RequestModel, Text, WireModel

MAX_TOOLS = 128
MAX_CHOICES = 1000
MAX_PATTERN_CHARACTERS = 4096
MAX_GRAMMAR_CHARACTERS = 64 * 1024

ToolName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.-]{1,128}$")]
SchemaName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
JsonSchema = dict[str, Any]


class FunctionDefinition(RequestModel):
    """A function that the model may call."""

    name: ToolName
    description: Text | None = Field(default=None, description="What it does and when to call it")
    parameters: JsonSchema | None = Field(default=None, description="JSON schema of its arguments, an object")
    strict: bool | None = Field(default=None, description="Arguments always follow the schema")


class FunctionTool(RequestModel):
    """A tool; only functions can be called."""

    type: Literal["function"]
    function: FunctionDefinition


class FunctionName(RequestModel):
    """The function that must be called."""

    name: ToolName


class NamedTool(RequestModel):
    """The one tool that must be called."""

    type: Literal["function"]
    function: FunctionName


class SomeTools(RequestModel):
    """The tools that may be called, and whether a call is required."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedTool], Field(min_length=1, max_length=MAX_TOOLS)]


class AllowedTools(RequestModel):
    """A choice among some of the tools."""

    type: Literal["allowed_tools"]
    allowed_tools: SomeTools


class CalledFunction(RequestModel):
    """The function of an earlier call, and its arguments as JSON text."""

    name: Annotated[Text, Field(min_length=1, max_length=256)]
    arguments: Text


class EarlierCall(RequestModel):
    """A call in an assistant message."""

    id: Annotated[Text, Field(max_length=256)] | None = None
    type: Literal["function"] = "function"
    function: CalledFunction


def _kind_of_choice(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", "mode")
    return kind if isinstance(kind, str) else ""


KIND_OF_CHOICE = Discriminator(
    _kind_of_choice, "unknown_kind", "Input should be none, auto, required, a function or allowed_tools"
)
"""The tag of a ``tool_choice``: its type, ``mode`` for a bare word."""


ToolMode = Literal["none", "auto", "required"]
ToolChoice = Annotated[
    Annotated[ToolMode, Tag("mode")]
    | Annotated[NamedTool, Tag("function")]
    | Annotated[AllowedTools, Tag("allowed_tools")],
    KIND_OF_CHOICE,
    Field(description="Whether a tool is called: never, if needed, always, this one, one of these"),
]
Tools = Annotated[list[FunctionTool], Field(max_length=MAX_TOOLS)]


class NamedSchema(RequestModel):
    """A JSON schema in OpenAI's wrapper."""

    name: SchemaName
    description: Text | None = None
    schema_: JsonSchema = Field(alias="schema", description="The JSON schema the answer must follow")
    strict: bool | None = Field(default=None, description="Answers always follow the schema")


def _in_wrapper(value: Any) -> Any:
    """Wrap a bare schema, which has no ``schema`` of its own."""
    bare = isinstance(value, dict) and not value.keys() & {"schema", "name"}
    return {"name": "answer", "schema": value} if bare else value


class JsonSchemaFormat(RequestModel):
    """An answer that follows a JSON schema."""

    type: Literal["json_schema"]
    json_schema: Annotated[NamedSchema, BeforeValidator(_in_wrapper, json_schema_input_type=NamedSchema | JsonSchema)]


class PlainFormat(RequestModel):
    """Free text, or any JSON object."""

    type: Literal["text", "json_object"]


ResponseFormat = Annotated[JsonSchemaFormat | PlainFormat, Field(discriminator="type")]


class StructuredOutputs(RequestModel):
    """Format of the answer, by vLLM's names; exactly one of the fields."""

    json_: str | JsonSchema | None = Field(default=None, alias="json", description="A JSON schema, or its text")
    regex: Annotated[Text, Field(min_length=1, max_length=MAX_PATTERN_CHARACTERS)] | None = None
    choice: Annotated[list[Text], Field(min_length=1, max_length=MAX_CHOICES)] | None = None
    grammar: Annotated[Text, Field(min_length=1, max_length=MAX_GRAMMAR_CHARACTERS)] | None = Field(
        default=None, description="EBNF as llama.cpp and XGrammar read it; its first rule is named root"
    )
    json_object: bool | None = None


class FunctionCall(WireModel):
    """The called function; ``arguments`` is the text of a JSON object that follows the tool's parameters."""

    name: str
    arguments: str


class ToolCall(WireModel):
    """A call that the model asks for."""

    id: str
    type: Literal["function"]
    function: FunctionCall


class FunctionCallPiece(WireModel):
    """Part of a call: the name comes first, then pieces of the arguments."""

    name: str | None = None
    arguments: str | None = None


class ToolCallPiece(WireModel):
    """Part of a call, in a stream."""

    index: int
    id: str | None = None
    type: Literal["function"] | None = None
    function: FunctionCallPiece


class TopLogprob(WireModel):
    """A token that could have been in this place."""

    token: str
    logprob: float
    bytes: list[int] | None


class TokenLogprob(TopLogprob):
    """A token of the answer."""

    top_logprobs: list[TopLogprob]


class Logprobs(WireModel):
    """Log probabilities of the answer's tokens."""

    content: list[TokenLogprob] | None
