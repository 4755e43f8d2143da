"""Wire models of answers from ``/v1/chat/completions``."""

from typing import Literal

from pydantic import ConfigDict, Field

from schemas.common import WireModel
from schemas.generation import Usage
from schemas.tools import Logprobs, ToolCall, ToolCallPiece


class AnswerMessage(WireModel):
    """The model's message."""

    role: Literal["assistant"]
    content: str | None = Field(description="null beside tool_calls without text")
    reasoning_content: str | None = Field(default=None, description="What it thought before, when it was to think")
    tool_calls: list[ToolCall] = Field(default=[], description="Only where there are any")


class Choice(WireModel):
    """One of the answers."""

    index: int
    message: AnswerMessage
    logprobs: Logprobs | None = None
    finish_reason: Literal["stop", "length", "tool_calls"]


class ChatCompletion(WireModel):
    """The complete answer."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "chatcmpl-9dd6227c8219413793101f1cd6409c34",
                    "object": "chat.completion",
                    "created": 1795424545,
                    "model": "Qwen/Qwen3-1.7B",
                    "system_fingerprint": "b0f1c2d3",
                    "choices": [
                        {
                            "index": 0,
                            "message": {"role": "assistant", "content": "Lima."},
                            "logprobs": None,
                            "finish_reason": "stop",
                        }
                    ],
                    "usage": {"prompt_tokens": 37, "completion_tokens": 3, "total_tokens": 40},
                }
            ]
        }
    )

    id: str
    object: Literal["chat.completion"]
    created: int = Field(description="Seconds since 1970")
    model: str = Field(description="The model that answered")
    system_fingerprint: str | None = Field(description="Differs between models whose answers may differ")
    choices: list[Choice]
    usage: Usage


class Delta(WireModel):
    """Part of an answer."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCallPiece] | None = None


class ChunkChoice(WireModel):
    """Part of one of the answers; the last part has a finish reason."""

    index: int
    delta: Delta
    logprobs: Logprobs | None = None
    finish_reason: Literal["stop", "length", "tool_calls"] | None


class ChatCompletionChunk(WireModel):
    """One event of a stream."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    system_fingerprint: str | None
    choices: list[ChunkChoice]
    usage: Usage | None = Field(default=None, description="In the last chunk, when stream_options.include_usage is set")
