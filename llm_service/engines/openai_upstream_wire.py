"""What is sent to an upstream and what comes back, in OpenAI's shapes."""

import hashlib
import json
import re
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from engines.base import EngineInfo, GenerationRequest

FINGERPRINT_SCHEME = "upstream-v1"
# The upstream's vocabulary is not known here (engines.control_tokens asks for one), and vLLM reads the control tokens
# that a message quotes: what the usual templates mark turns with. One that is none loses nothing by a space.
_CONTROL = re.compile(
    r"<(?=[|\uff5c][^<>\s]{1,60}[|\uff5c]>|/?s>|bos>|eos>|(?:start|end)_of_turn>|<?/?SYS>)|\[(?=/?[A-Z_]{3,30}\])"
)
ANY_OBJECT = {"type": "object"}


def api_root(url: str) -> str:
    """Return where the API begins: the address as it is, or with ``/v1`` when it names only a server."""
    root = url.rstrip("/")
    return root if urlsplit(root).path else f"{root}/v1"


def completion_body(request: GenerationRequest, model: str, *, template_arguments: bool) -> dict[str, Any]:
    """Return the body that asks for this request. ``template_arguments``: tell the upstream's chat template
    whether to let the model think.
    """
    sampling = request.sampling
    greedy = sampling.temperature == 0 or sampling.top_p == 0
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": message.role, "content": as_text(message.content)} for message in request.messages],
        "max_tokens": sampling.max_new_tokens,
        # A top_p of 0 is this service's other word for greedy; servers refuse it.
        "temperature": 0 if greedy else sampling.temperature,
        "top_p": 1 if greedy else sampling.top_p,
        # Always streamed: the first token is seen, silence is noticed, and leaving ends it, also for whoever
        # wants the answer in one piece.
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if sampling.seed is not None:
        body["seed"] = sampling.seed
    if sampling.json_schema is not None:
        body["response_format"] = _response_format(json.loads(sampling.json_schema))
    if template_arguments:
        body["chat_template_kwargs"] = {"enable_thinking": request.enable_thinking}
    return body


def as_text(content: str) -> str:
    """Return a message's content in which nothing opens a turn."""
    return _CONTROL.sub(lambda found: f"{found[0]} ", content)


def _response_format(schema: Any) -> dict[str, Any]:
    if schema == ANY_OBJECT:
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}


class _Received(BaseModel):
    """What others send: fields that are not asked for are left alone, those that are have their type."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class Delta(_Received):
    """A piece of text. A thought comes as ``reasoning_content`` (DeepSeek, vLLM, this service) or
    ``reasoning`` (newer vLLM); who sends both says it twice.
    """

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None

    @property
    def thought(self) -> str:
        """The piece of a thought, or nothing."""
        return self.reasoning_content or self.reasoning or ""


class Choice(_Received):
    """A piece of the one answer that was asked for."""

    delta: Delta = Delta()
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
    """A model that the upstream serves; ``root`` and ``max_model_len`` as vLLM tells them."""

    id: str = Field(min_length=1, max_length=500)
    root: str | None = None
    max_model_len: int | None = None


class ModelList(_Received):
    """All that it serves."""

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
