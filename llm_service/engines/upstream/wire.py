"""Wire format of chat completions: request bodies, and the fields of answers that are read."""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from engines.base import EngineInfo
from engines.requests import ChatMessage, GenerationRequest, SamplingParams, Tool

FINGERPRINT_SCHEME = "upstream-v1"
# The upstream's vocabulary, which engines.prompts.control_tokens needs, is unknown here, and vLLM reads control tokens
# that a message quotes. These are the usual templates' marks of turns; a space inside harms no other text.
_CONTROL = re.compile(
    r"<(?=[|\uff5c][^<>\s]{1,60}[|\uff5c]>|/?s>|bos>|eos>|(?:start|end)_of_turn>|<?/?SYS>)|\[(?=/?[A-Z_]{3,30}\])"
)
MOST_TOOL_CALLS = 128
ANY_OBJECT = {"type": "object"}


def completion_body(
    request: GenerationRequest,
    model: str,
    *,
    template_arguments: bool,
    as_text: Callable[[str], str] | None = None,
    messages: Sequence[ChatMessage] | None = None,
) -> dict[str, Any]:
    """Return the body of a request.

    Args:
        request: what is asked.
        model: the server's name for its model.
        template_arguments: send the chat template whether to let the model think.
        as_text: makes control tokens in a message text; by default those of the usual templates.
        messages: in place of the request's own.

    """
    messages = request.messages if messages is None else messages
    as_text = as_text or usual_control_as_text
    sampling = request.sampling
    body: dict[str, Any] = {
        "model": model,
        "messages": [_message(message, str if request.raw else as_text) for message in messages],
        "max_tokens": sampling.max_new_tokens,
        # This service also accepts a top_p of 0 for greedy; servers refuse it.
        "temperature": 0 if sampling.greedy else sampling.temperature,
        "top_p": 1 if sampling.greedy else sampling.top_p,
        # Always streamed: the time of the first token is known, a stalled server is noticed, and closing the connection
        # ends the generation.
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if sampling.seed is not None:
        body["seed"] = sampling.seed
    body |= {name: value for name, value in _more_sampling(sampling).items() if value is not None}
    if request.raw:
        body["prompt"] = body.pop("messages")[0]["content"]
    elif template_arguments:
        body["chat_template_kwargs"] = {"enable_thinking": request.enable_thinking}
    return body


def upstream_fields(request: GenerationRequest) -> dict[str, Any]:
    """Return tools, formats and efforts unchanged, for a server of unknown kind."""
    fields: dict[str, Any] = {}
    if request.tools is not None:
        fields["tools"] = [_tool(tool) for tool in request.tools.offered]
        only = request.tools.only
        fields["tool_choice"] = {"type": "function", "function": {"name": only}} if only else request.tools.choice
        if request.tools.parallel is not None:
            fields["parallel_tool_calls"] = request.tools.parallel
    if request.output is not None and request.output.kind == "json":
        fields["response_format"] = _response_format(json.loads(request.output.source))
    elif request.output is not None:
        source: Any = request.output.source
        value = json.loads(source) if request.output.kind == "choice" else source
        fields["structured_outputs"] = {request.output.kind: value}
    if request.reasoning_effort is not None:
        fields["reasoning_effort"] = request.reasoning_effort
    if request.thinking_budget is not None:
        fields["thinking_token_budget"] = request.thinking_budget
    if request.continues:
        # vLLM's names; a server that would begin a new turn instead refuses them.
        fields |= {"add_generation_prompt": False, "continue_final_message": True}
    return fields


def _message(message: ChatMessage, as_text: Callable[[str], str]) -> dict[str, Any]:
    body: dict[str, Any] = {"role": message.role, "content": as_text(message.content)}
    if message.tool_calls:
        body["content"] = body["content"] or None
        body["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        body["tool_call_id"] = message.tool_call_id
    if message.name is not None:
        body["name"] = message.name
    return body


def _tool(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": json.loads(tool.parameters)}
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": {name: value for name, value in function.items() if value is not None}}


def _more_sampling(sampling: SamplingParams) -> dict[str, Any]:
    """Return the settings that differ from their neutral values, by vLLM's names."""
    return {
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "presence_penalty": sampling.presence_penalty or None,
        "frequency_penalty": sampling.frequency_penalty or None,
        "repetition_penalty": sampling.repetition_penalty,
        "logprobs": None if sampling.logprobs is None else True,
        "top_logprobs": sampling.logprobs,
    }


def usual_control_as_text(content: str) -> str:
    """Return a message's content without the control tokens of the usual templates."""
    return _CONTROL.sub(lambda found: f"{found[0]} ", content)


def _response_format(schema: Any) -> dict[str, Any]:
    if schema == ANY_OBJECT:
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}


class _Received(BaseModel):
    """Base of received bodies: unknown fields are ignored, known ones must have their type."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class FunctionPiece(_Received):
    """A piece of a call: its name comes first, then its arguments."""

    name: str | None = None
    arguments: str | None = None


class ToolCallPiece(_Received):
    """A piece of one of the calls."""

    index: int = Field(default=0, ge=0, lt=MOST_TOOL_CALLS)
    id: str | None = None
    function: FunctionPiece = FunctionPiece()


class TopLogprob(_Received):
    """A token and the natural logarithm of its probability."""

    token: str
    logprob: float


class TokenLogprob(TopLogprob):
    """A token that was chosen, and others in its place."""

    top_logprobs: tuple[TopLogprob, ...] = ()


class Logprobs(_Received):
    """Log probabilities of a piece's tokens."""

    content: tuple[TokenLogprob, ...] | None = None


class Delta(_Received):
    """A piece of text. A thought comes as ``reasoning_content`` (DeepSeek, vLLM, this service) or
    ``reasoning`` (newer vLLM); where both are sent, they are equal.
    """

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: tuple[ToolCallPiece, ...] | None = None

    @property
    def thought(self) -> str:
        """The piece of a thought, or nothing."""
        return self.reasoning_content or self.reasoning or ""


class Choice(_Received):
    """A piece of the answer."""

    delta: Delta = Delta()
    text: str | None = None
    """Text of a completion without a chat template."""
    logprobs: Logprobs | None = None
    finish_reason: str | None = None


class Usage(_Received):
    """Tokens read and written."""

    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(default=0, ge=0)


class Chunk(_Received):
    """One event of a stream."""

    choices: tuple[Choice, ...] = ()
    usage: Usage | None = None
    error: Any = None


class ListedModel(_Received):
    """A model that the upstream serves; ``root`` and ``max_model_len`` as vLLM reports them."""

    id: str = Field(min_length=1, max_length=500)
    root: str | None = None
    max_model_len: int | None = None


class ModelList(_Received):
    """The models that the upstream serves."""

    data: tuple[ListedModel, ...]


def engine_info(root: str, model: ListedModel, requested_model: str) -> EngineInfo:
    """Describe the upstream's model as engines do. Its fingerprint is 16 hexadecimal digits of a sha256 over
    address, name, root and length: what the upstream says of itself, not of its weights.
    """
    lines = (FINGERPRINT_SCHEME, root, model.id, model.root or "", str(model.max_model_len))
    return EngineInfo(
        backend="openai",
        model=model.id,
        requested_model=requested_model,
        artifact="none",
        device="upstream",
        context_length=model.max_model_len or 0,
        fingerprint=hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()[:16],
    )
