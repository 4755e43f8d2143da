"""Tool definitions and calls as prompt text.

Calls have the form of the Hermes and Qwen models: a JSON object with ``name`` and ``arguments`` between two tags.
Qwen's chat templates write the same. With a template that does not support tools they stand in the system turn.
"""

import json
from collections.abc import Iterator

from engines.requests import ChatMessage, GenerationRequest, ToolCall, Tools

CALL_BEGINS, CALL_ENDS = "<tool_call>", "\n</tool_call>"
RESULT_BEGINS, RESULT_ENDS = "<tool_response>\n", "\n</tool_response>"
_INTRODUCTION = """# Tools

You may call functions to help with the user's request. These are their signatures, within <tools></tools>:
<tools>
{signatures}
</tools>

To call a function, answer with a JSON object of its name and its arguments within <tool_call></tool_call>:
<tool_call>
{{"name": <function-name>, "arguments": <arguments-object>}}
</tool_call>"""


def call_head(name: str) -> str:
    """Return what stands between the opening tag and the arguments."""
    return f'\n{{"name": {json.dumps(name, ensure_ascii=False)}, "arguments": '


def in_words(request: GenerationRequest) -> tuple[ChatMessage, ...]:
    """Return the conversation in system, user and assistant turns of text, with the tools and calls written out."""
    turns = list(_turns(request.messages))
    introduction = "" if request.tools is None else _introduction(request.tools)
    if introduction and turns[0].role == "system":
        turns[0] = ChatMessage("system", f"{turns[0].content}\n\n{introduction}")
    elif introduction:
        turns.insert(0, ChatMessage("system", introduction))
    return tuple(turns)


def _introduction(tools: Tools) -> str:
    if not tools.callable:
        return ""
    signatures = [
        {"type": "function", "function": {
            "name": tool.name, "description": tool.description or "", "parameters": json.loads(tool.parameters)}}
        for tool in tools.callable
    ]  # fmt: skip
    text = _INTRODUCTION.format(signatures="\n".join(json.dumps(each, ensure_ascii=False) for each in signatures))
    if tools.choice == "required":
        text += "\n\nCall a function now." if tools.only is None else f"\n\nCall {tools.only} now."
    return text


def _turns(messages: tuple[ChatMessage, ...]) -> Iterator[ChatMessage]:
    results: list[str] = []
    for message in messages:
        if message.role == "tool":
            results.append(f"{RESULT_BEGINS}{message.content}{RESULT_ENDS}")
            continue
        if results:
            yield ChatMessage("user", "\n".join(results))
            results = []
        if message.tool_calls:
            calls = [_call(call) for call in message.tool_calls]
            yield ChatMessage("assistant", "\n".join([message.content, *calls] if message.content else calls))
        else:
            yield ChatMessage(message.role, message.content)
    if results:
        yield ChatMessage("user", "\n".join(results))


def _call(call: ToolCall) -> str:
    return f"{CALL_BEGINS}{call_head(call.name)}{call.arguments}}}{CALL_ENDS}"
