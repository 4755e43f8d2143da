"""``/v1/chat/completions``."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from engines.events import TextDelta, TokenLogprob, ToolCallDelta
from routers.calls import Call
from routers.error_docs import of_a_model
from routers.openai.completion import Choice, Completion, CompletionFields, check_choices, one_each
from routers.openai.fields import OnlyNeutral
from routers.openai.models import check_model
from routers.wire.generation_answer import logprobs_body, tool_call_piece, tool_calls_body
from routers.wire.generation_request import chat_messages, to_generation_request
from schemas.common import RequestModel, Text, WireModel, example
from schemas.generation import MAX_MESSAGES, TokenLimit, Turn, Usage
from schemas.tools import Logprobs, ToolCall, ToolCallPiece
from services.errors import InvalidRequest
from services.results import GenerationItem, GenerationResult, ReasoningDelta

TOOLS = "Send tools and tool_choice instead"
STREAM_EXAMPLE = (
    'data: {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "Lima."}, …}], …}\n\n'
    "data: [DONE]\n\n"
)

router = APIRouter(prefix="/v1", tags=["OpenAI"])


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

    content: Content | None = Field(
        default=None,
        validate_default=True,
        description="Text, or a list of text parts, which are read as paragraphs; may be omitted beside tool_calls",
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


class ChatCompletionRequest(CompletionFields):
    """A conversation to continue."""

    model_config = example(
        model="default",
        messages=[{"role": "user", "content": "What is the capital of Peru?"}],
        temperature=0,
        max_tokens=64,
    )

    messages: list[ChatMessage] = Field(min_length=1, max_length=MAX_MESSAGES)
    max_completion_tokens: TokenLimit | None = Field(default=None, description="max_tokens by its newer name")

    audio: Annotated[Any, OnlyNeutral()] = None
    function_call: Annotated[Any, OnlyNeutral("none", instead=TOOLS)] = None
    functions: Annotated[Any, OnlyNeutral([], instead=TOOLS)] = None
    modalities: Annotated[Any, OnlyNeutral(["text"])] = None
    moderation: Annotated[Any, OnlyNeutral()] = None
    verbosity: Annotated[Any, OnlyNeutral("medium")] = None
    web_search_options: Annotated[Any, OnlyNeutral()] = None


class AnswerMessage(WireModel):
    """The model's message."""

    role: Literal["assistant"]
    content: str | None = Field(description="null beside tool_calls without text")
    reasoning_content: str | None = Field(default=None, description="The model's thought, where it was to think")
    tool_calls: list[ToolCall] = Field(default=[], description="Only where there are any")


class Delta(WireModel):
    """Part of an answer."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCallPiece] | None = None


class _Choice(WireModel):
    index: int
    logprobs: Logprobs | None = None


class WholeChoice(_Choice):
    """One of the answers."""

    message: AnswerMessage
    finish_reason: Literal["stop", "length", "tool_calls"]


class ChunkChoice(_Choice):
    """Part of one of the answers; the last part has a finish reason."""

    delta: Delta
    finish_reason: Literal["stop", "length", "tool_calls"] | None


class _Answer(WireModel):
    id: str
    created: int = Field(description="Seconds since 1970")
    model: str = Field(description="The model that answered")
    system_fingerprint: str | None = Field(description="Differs between models whose answers may differ")


class ChatCompletion(_Answer):
    """The complete answer."""

    object: Literal["chat.completion"]
    choices: list[WholeChoice]
    usage: Usage


class ChatCompletionChunk(_Answer):
    """One event of a stream."""

    object: Literal["chat.completion.chunk"]
    choices: list[ChunkChoice]
    usage: Usage | None = Field(default=None, description="In the last chunk, when stream_options.include_usage is set")


@router.post(
    "/chat/completions",
    response_model=ChatCompletion,
    responses=of_a_model(
        "The answer; with stream, server-sent events that each hold a chunk, then [DONE]",
        openai=True,
        stream=STREAM_EXAMPLE,
    ),
    summary="Answer a conversation",
)
async def chat_completions(body: ChatCompletionRequest, call: Call) -> Response:
    """Continue the conversation in ``messages``; compatible with OpenAI's chat completions.

    With ``stream: true`` the answer is sent as chunks, then ``[DONE]``; a failed stream ends with an
    event that contains an ``error``, without ``[DONE]``.
    """
    check_model(call.service, "generator", body.model)
    headers = call.headers(body)
    check_choices(body, call.config)
    messages = chat_messages(body.messages)
    asked = to_generation_request(body, messages, call.config, call.request_id, _max_tokens(body))
    return await call.respond(one_each(asked, body.n or 1, call.request_id), headers, ChatAnswer(body, call.service))


def _max_tokens(body: ChatCompletionRequest) -> int | None:
    older, newer = body.max_tokens, body.max_completion_tokens
    if older is not None and newer is not None and older != newer:
        raise InvalidRequest(f"contradicts max_completion_tokens, {newer}; send one of them", field="max_tokens")
    return older if newer is None else newer


class ChatAnswer(Completion):
    """Messages of the assistant."""

    kind, piece_kind, prefix = "chat.completion", "chat.completion.chunk", "chatcmpl"

    def whole(self, index: int, result: GenerationResult) -> Choice:
        """Return a message."""
        message: dict[str, Any] = {"role": "assistant", "content": result.answer}
        if result.reasoning is not None:
            message["reasoning_content"] = result.reasoning
        if result.tool_calls:
            message |= {"content": result.answer or None, "tool_calls": tool_calls_body(result.tool_calls)}
        logprobs = logprobs_body(result.logprobs)
        return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": result.finish_reason}

    def first(self, index: int) -> Choice:
        """Return the role."""
        return _chunk(index, {"role": "assistant", "content": ""})

    def piece(self, index: int, item: GenerationItem) -> Choice | None:
        """Return a part of a message, or the finish reason."""
        if isinstance(item, TextDelta):
            return _chunk(index, {"content": item.text}, logprobs=item.logprobs)
        if isinstance(item, ReasoningDelta):
            return _chunk(index, {"reasoning_content": item.text})
        if isinstance(item, GenerationResult):
            return _chunk(index, {}, item.finish_reason)
        if isinstance(item, ToolCallDelta):
            return _chunk(index, {"tool_calls": [tool_call_piece(item)]})
        return None


def _chunk(
    index: int, delta: dict[str, Any], reason: str | None = None, logprobs: Sequence[TokenLogprob] = ()
) -> Choice:
    return {"index": index, "delta": delta, "logprobs": logprobs_body(logprobs), "finish_reason": reason}
