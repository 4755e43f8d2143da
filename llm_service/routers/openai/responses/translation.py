"""Translation between OpenAI's responses and the service's types."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from config.settings import Settings
from engines.base import GenerationRequest
from routers.generation_wire import logprobs_body, to_generation_request
from routers.openai.responses.request import (
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
from routers.openai.turns import WrittenTurn
from schemas.generation import GenerationFields
from schemas.tools import CalledFunction, EarlierCall
from services.errors import InvalidRequest, ServiceError
from services.results import GenerationResult

_FIELDS = {"messages": "input", "response_format": "text.format", "reasoning_effort": "reasoning.effort"}
"""Names of fields here, by their names in chat completions."""


def to_generation(body: ResponsesRequest, config: Settings, request_id: str) -> GenerationRequest:
    """Translate a request; raises ``InvalidRequest``."""
    fields = {
        "temperature": body.temperature,
        "top_p": body.top_p,
        "stream": body.stream,
        "tools": [_tool(tool.model_dump(exclude={"type"}, exclude_none=True)) for tool in body.tools or ()],
        "tool_choice": _choice(body),
        "parallel_tool_calls": body.parallel_tool_calls,
        "response_format": _format(body),
        "reasoning_effort": body.reasoning and body.reasoning.effort,
        "logprobs": LOGPROBS in (body.include or ()) or None,
        "top_logprobs": body.top_logprobs,
    }
    said = turns(body)
    if not said:
        raise InvalidRequest("holds no turn of a conversation", field="input")
    return to_generation_request(
        GenerationFields.model_validate(fields), said, config, request_id, body.max_output_tokens
    )


def renamed(error: ServiceError) -> ServiceError:
    """Name the field of an error as it is named here."""
    if error.field is not None:
        first = error.field.partition(".")[0].partition("[")[0]
        # Places in messages differ from those in input.
        error.field = _FIELDS.get(first, error.field)
    return error


def turns(body: ResponsesRequest) -> list[WrittenTurn]:
    """Return the conversation: calls belong to the assistant's turn before them, thoughts are left out."""
    said = [WrittenTurn("system", body.instructions)] if body.instructions else []
    for item in body.input:
        if isinstance(item, InputMessage):
            said.append(WrittenTurn(item.role, _text(item.content)))
        elif isinstance(item, InputCall):
            if not said or said[-1].role != "assistant":
                said.append(WrittenTurn("assistant", None))
            call = EarlierCall(id=item.call_id, function=CalledFunction(name=item.name, arguments=item.arguments))
            said[-1].tool_calls = [*(said[-1].tool_calls or ()), call]
        elif isinstance(item, InputCallOutput):
            said.append(WrittenTurn("tool", _text(item.output), tool_call_id=item.call_id))
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


def new_id(prefix: str) -> str:
    """Return an id for a response or an item of one."""
    return f"{prefix}_{uuid.uuid4().hex}"


def reasoning_item(item_id: str, text: str | None, status: str = "completed") -> dict[str, Any]:
    """Return a thought as an item."""
    content = [] if text is None else [{"type": "reasoning_text", "text": text}]
    return {"type": "reasoning", "id": item_id, "summary": [], "content": content, "status": status}


def message_item(item_id: str, part: dict[str, Any] | None, status: str = "completed") -> dict[str, Any]:
    """Return an answer as an item."""
    content = [] if part is None else [part]
    return {"type": "message", "id": item_id, "role": "assistant", "content": content, "status": status}


def text_part(text: str, logprobs: Sequence[Any] = ()) -> dict[str, Any]:
    """Return a text as part of an item."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": list(logprobs)}


def call_item(item_id: str, call_id: str, name: str, arguments: str, status: str = "completed") -> dict[str, Any]:
    """Return a call as an item."""
    called = {"call_id": call_id, "name": name, "arguments": arguments}
    return {"type": "function_call", "id": item_id, **called, "status": status}


def token_logprobs(result: GenerationResult) -> list[Any]:
    """Return the log probabilities of an answer's tokens, where they were asked for."""
    body = logprobs_body(result.logprobs)
    return [] if body is None else list(body["content"])


def output_items(result: GenerationResult) -> list[dict[str, Any]]:
    """Return a whole answer as items: the thought, the text, the calls."""
    items = [] if result.reasoning is None else [reasoning_item(new_id("rs"), result.reasoning)]
    if result.answer or not result.tool_calls:
        status = "incomplete" if result.finish_reason == "length" else "completed"
        items.append(message_item(new_id("msg"), text_part(result.answer, token_logprobs(result)), status))
    items += [call_item(new_id("fc"), call.id, call.name, call.arguments) for call in result.tool_calls]
    return items


@dataclass(frozen=True, slots=True)
class Response:
    """Fields shared by all states of one response."""

    body: ResponsesRequest
    asked: GenerationRequest
    model: str
    id: str = field(default_factory=lambda: new_id("resp"))
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, results: list[GenerationResult]) -> dict[str, Any]:
        """Return a response that has ended."""
        return self.ended(results[0], output_items(results[0]))

    def ended(self, result: GenerationResult, output: list[dict[str, Any]]) -> dict[str, Any]:
        """Return a response that has ended with ``output``."""
        cut = result.finish_reason == "length"
        usage = {
            "input_tokens": result.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": result.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": result.prompt_tokens + result.completion_tokens,
        }
        details = {"reason": "max_output_tokens"} if cut else None
        return self.state("incomplete" if cut else "completed", output, usage=usage, incomplete_details=details)

    def state(self, status: str, output: Sequence[dict[str, Any]] = (), **more: Any) -> dict[str, Any]:
        """Return the response in a state."""
        body, sampling = self.body, self.asked.sampling
        said = body.model_dump(include={"tools", "tool_choice", "text"}, by_alias=True, exclude_none=True)
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "model": self.model,
            "output": list(output),
            "error": None,
            "incomplete_details": None,
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "metadata": body.metadata or {},
            "parallel_tool_calls": body.parallel_tool_calls is not False,
            "previous_response_id": None,
            "reasoning": {"effort": body.reasoning and body.reasoning.effort, "summary": None},
            "store": False,
            "temperature": sampling.temperature,
            "text": said.get("text") or {"format": {"type": "text"}},
            "tool_choice": said.get("tool_choice", "auto"),
            "tools": said.get("tools", []),
            "top_p": sampling.top_p,
            "truncation": "disabled",
            "usage": None,
            "user": body.user,
            **more,
        }
