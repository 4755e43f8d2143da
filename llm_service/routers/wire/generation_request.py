"""Requests for text: from wire models to the engine's request."""

import json
from collections.abc import Sequence
from typing import Any, Literal

from config.settings import Settings
from engines.requests import (
    ChatMessage,
    GenerationRequest,
    OutputFormat,
    SamplingParams,
    Tool,
    ToolCall,
    Tools,
    unique_id,
)
from schemas.generation import GenerationFields, Turn
from schemas.tools import AllowedTools, JsonSchemaFormat, NamedTool
from services.decoding import choose_decoding
from services.errors import InvalidRequest

FormatKind = Literal["json", "regex", "choice", "grammar"]
EFFORT_TOKENS = {"minimal": 128, "low": 512, "medium": 2048, "high": 8192}
"""Tokens of a thought by ``reasoning_effort``; the largest effort has no budget."""

ANY_OBJECT = '{"type": "object"}'


def to_generation_request(
    body: GenerationFields,
    messages: Sequence[ChatMessage],
    config: Settings,
    request_id: str,
    max_new_tokens: int | None,
) -> GenerationRequest:
    """Translate a request, with defaults from the settings. Raises ``InvalidRequest``."""
    tools, output = _tools(body), _output(body)
    thinking, thinking_field, budget = _thinking(body)
    decoding = choose_decoding(
        config,
        temperature=body.temperature,
        top_p=body.top_p,
        enable_thinking=thinking,
        thinking_field=thinking_field,
        constrained=output is not None
        or (tools is not None and tools.choice == "required")
        or messages[-1].role == "assistant",
    )
    return GenerationRequest(
        id=unique_id(request_id),
        messages=tuple(messages),
        sampling=SamplingParams(
            max_new_tokens=max_new_tokens or config.llm_max_new_tokens,
            temperature=decoding.temperature,
            top_p=decoding.top_p,
            stop=tuple(body.stop or ()),
            seed=body.seed,
            top_k=None if body.top_k is None else max(body.top_k, 0),
            min_p=body.min_p,
            presence_penalty=body.presence_penalty or 0.0,
            frequency_penalty=body.frequency_penalty or 0.0,
            repetition_penalty=body.repetition_penalty,
            logprobs=_logprobs(body),
        ),
        enable_thinking=decoding.enable_thinking,
        thinking_budget=budget if decoding.enable_thinking else None,
        reasoning_effort=body.reasoning_effort,
        tools=tools,
        output=output,
        stream=bool(body.stream),
    )


def chat_messages(turns: Sequence[Turn]) -> list[ChatMessage]:
    """Translate a conversation. Raises ``InvalidRequest``."""
    return [_message(at, turn) for at, turn in enumerate(turns)]


def _message(at: int, turn: Turn) -> ChatMessage:
    if turn.tool_calls and turn.role != "assistant":
        raise InvalidRequest("only in a message of the role assistant", field=f"messages[{at}].tool_calls")
    calls = tuple(
        ToolCall(call.id or f"call_{at}_{number}", call.function.name, call.function.arguments)
        for number, call in enumerate(turn.tool_calls or ())
    )
    return ChatMessage(role_of(turn.role), turn.text or "", calls, turn.tool_call_id, turn.name)


def role_of(name: str) -> str:
    """Return the engine's name of a role."""
    return "system" if name == "developer" else name


def _tools(body: GenerationFields) -> Tools | None:
    """Return the tools of a request; ``None`` without any."""
    choice = body.tool_choice
    if not body.tools:
        if choice not in (None, "none", "auto"):
            raise InvalidRequest("only together with tools", field="tool_choice")
        return None
    offered = tuple(
        Tool(
            tool.function.name,
            tool.function.description,
            _json(tool.function.parameters or {"type": "object", "properties": {}}),
            tool.function.strict,
        )
        for tool in body.tools
    )
    names = [tool.name for tool in offered]
    if len(set(names)) < len(names):
        raise InvalidRequest("two tools have the same name", field="tools")
    if isinstance(choice, NamedTool):
        if choice.function.name not in names:
            raise InvalidRequest("no such tool in tools", field="tool_choice.function.name")
        return Tools(offered, "required", choice.function.name, body.parallel_tool_calls)
    if isinstance(choice, AllowedTools):
        allowed = {tool.function.name for tool in choice.allowed_tools.tools}
        if not allowed <= set(names):
            raise InvalidRequest("names a tool that is not in tools", field="tool_choice.allowed_tools.tools")
        offered = tuple(tool for tool in offered if tool.name in allowed)
        return Tools(offered, choice.allowed_tools.mode, None, body.parallel_tool_calls)
    return Tools(offered, choice or "auto", None, body.parallel_tool_calls)


def _thinking(body: GenerationFields) -> tuple[bool | None, str, int | None]:
    """Return whether to think, if the request says so, the field that says it, and the budget of a thought."""
    template, effort = body.chat_template_kwargs, body.reasoning_effort
    wishes: dict[str, bool | None] = {
        "enable_thinking": body.enable_thinking,
        "chat_template_kwargs.enable_thinking": template.enable_thinking if template else None,
        "reasoning_effort": effort != "none" if effort else None,
        "thinking_budget": True if body.thinking_budget else None,
    }
    said = {field: wish for field, wish in wishes.items() if wish is not None}
    first, *others = said or ["enable_thinking"]
    if len(set(said.values())) > 1:
        raise InvalidRequest(f"contradicts {', '.join(others)}; send one of them", field=first)
    budget = EFFORT_TOKENS.get(effort or "") if body.thinking_budget is None else body.thinking_budget
    return said.get(first), first, budget


def _output(body: GenerationFields) -> OutputFormat | None:
    wanted = body.structured_outputs
    if wanted is not None and wanted.model_fields_set:
        return _structured(body)
    if isinstance(body.response_format, JsonSchemaFormat):
        schema = _json(body.response_format.json_schema.schema_)
        return OutputFormat("json", schema, "response_format.json_schema.schema")
    if body.response_format is not None and body.response_format.type == "json_object":
        return OutputFormat("json", ANY_OBJECT)
    return None


def _structured(body: GenerationFields) -> OutputFormat:
    wanted, field = body.structured_outputs, "structured_outputs"
    assert wanted is not None
    if body.response_format is not None and body.response_format.type != "text":
        raise InvalidRequest("contradicts response_format; send one of them", field=field)
    schema = wanted.json_ if isinstance(wanted.json_, str | None) else _json(wanted.json_)
    sources: tuple[tuple[str, FormatKind, str | None], ...] = (
        ("json", "json", schema),
        ("json_object", "json", ANY_OBJECT if wanted.json_object else None),
        ("regex", "regex", wanted.regex),
        ("choice", "choice", None if wanted.choice is None else _json(wanted.choice)),
        ("grammar", "grammar", wanted.grammar),
    )
    formats = [OutputFormat(kind, source, f"{field}.{name}") for name, kind, source in sources if source is not None]
    if len(formats) != 1:
        raise InvalidRequest("exactly one of json, json_object, regex, choice, grammar", field=field)
    return formats[0]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _logprobs(body: GenerationFields) -> int | None:
    if not body.logprobs:
        if body.top_logprobs:
            raise InvalidRequest("only together with logprobs: true", field="top_logprobs")
        return None
    return body.top_logprobs or 0
