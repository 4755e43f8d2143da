"""A request to ``/v1/responses`` as the service's own."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from config.settings import Settings
from engines.errors import ServiceError
from engines.requests import ChatMessage, GenerationRequest, ToolCall
from routers.openai.responses.schemas import (
    LOGPROBS,
    InputCall,
    InputCallOutput,
    InputMessage,
    InputText,
    ResponseAllowedTools,
    ResponseNamedTool,
    ResponsesRequest,
    SchemaFormat,
)
from routers.wire.generation_request import role_of, to_generation_request
from schemas.generation import AnswerFields, GenerationFields
from services.errors import InvalidRequest

_FIELDS = {"messages": "input", "response_format": "text.format", "reasoning_effort": "reasoning.effort"}
"""Names of fields here, by their names in chat completions."""


def to_generation(body: ResponsesRequest, config: Settings, request_id: str) -> GenerationRequest:
    """Translate a request; raises ``InvalidRequest``."""
    logprobs = LOGPROBS in (body.include or ())
    if body.top_logprobs and not logprobs:
        raise InvalidRequest(f"only together with include: {LOGPROBS}", field="top_logprobs")
    fields = body.model_dump(include=set(AnswerFields.model_fields)) | {
        "tools": [_tool(tool.model_dump(exclude={"type"}, exclude_none=True)) for tool in body.tools or ()],
        "tool_choice": _choice(body),
        "response_format": _format(body),
        "reasoning_effort": body.reasoning and body.reasoning.effort,
        "logprobs": logprobs,
    }
    messages = _messages(body)
    if not messages:
        raise InvalidRequest("must contain at least one message", field="input")
    asked = GenerationFields.model_validate(fields)
    return to_generation_request(asked, messages, config, request_id, body.max_output_tokens)


def renamed(error: ServiceError) -> ServiceError:
    """Name the field of an error as it is named here."""
    if error.field is not None:
        first = error.field.partition(".")[0].partition("[")[0]
        # Places in messages differ from those in input.
        error.field = _FIELDS.get(first, error.field)
    return error


def _messages(body: ResponsesRequest) -> list[ChatMessage]:
    """Return the conversation: calls belong to the assistant's turn before them, thoughts are left out."""
    said = [ChatMessage("system", body.instructions)] if body.instructions else []
    for item in body.input:
        if isinstance(item, InputMessage):
            said.append(ChatMessage(role_of(item.role), _text(item.content)))
        elif isinstance(item, InputCall):
            turn = said.pop() if said and said[-1].role == "assistant" else ChatMessage("assistant", "")
            call = ToolCall(item.call_id, item.name, item.arguments)
            said.append(replace(turn, tool_calls=(*turn.tool_calls, call)))
        elif isinstance(item, InputCallOutput):
            said.append(ChatMessage("tool", _text(item.output), tool_call_id=item.call_id))
    return said


def _text(parts: Sequence[InputText]) -> str:
    return "\n".join(part.text for part in parts)


def _tool(function: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": function}


def _choice(body: ResponsesRequest) -> Any:
    choice = body.tool_choice
    if isinstance(choice, ResponseNamedTool):
        return _tool({"name": choice.name})
    if isinstance(choice, ResponseAllowedTools):
        allowed = {"mode": choice.mode, "tools": [_tool({"name": tool.name}) for tool in choice.tools]}
        return {"type": "allowed_tools", "allowed_tools": allowed}
    return choice


def _format(body: ResponsesRequest) -> dict[str, Any] | None:
    wanted = body.text.format if body.text else None
    if isinstance(wanted, SchemaFormat):
        return {"type": "json_schema", "json_schema": {"name": wanted.name, "schema": wanted.schema_}}
    return None if wanted is None else {"type": wanted.type}
