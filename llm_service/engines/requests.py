"""Requests to an engine, as plain data."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

ToolMode = Literal["none", "auto", "required"]
InputType = Literal["query", "document"]

GREEDY_TEMPERATURE = 1e-3
"""Below it sampling is greedy decoding: tokens whose logits differ by 0.01 are e^10 times as likely. Logits divided
by much smaller numbers overflow."""
GREEDY_TOP_P = 1e-6
"""Below it the nucleus is the likeliest token: one of a million tokens has a larger share."""


def is_greedy(temperature: float, top_p: float) -> bool:
    """Whether these parameters always choose the likeliest token."""
    return temperature < GREEDY_TEMPERATURE or top_p < GREEDY_TOP_P


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that a model made; ``arguments`` is the text of a JSON object."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One turn; ``role`` is system, user, assistant or tool. The turn of a tool names the call that it answers."""

    role: str
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call; ``parameters`` is the text of a JSON schema."""

    name: str
    description: str | None
    parameters: str
    strict: bool | None = None


@dataclass(frozen=True, slots=True)
class Tools:
    """Tools of a request.

    Attributes:
        choice: whether a call is made: never, if the model wants to, always.
        only: the one tool that must be called.
        parallel: whether several calls may be made at once; ``None`` leaves it to ``engines.prompts.tools``.

    """

    offered: tuple[Tool, ...]
    choice: ToolMode = "auto"
    only: str | None = None
    parallel: bool | None = None

    @property
    def callable(self) -> tuple[Tool, ...]:
        """The tools that may be called."""
        if self.choice == "none":
            return ()
        return tuple(tool for tool in self.offered if self.only in (None, tool.name))


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """Format of the whole text: JSON that follows a schema, a match of a regular expression, one of a JSON list of
    choices, or a text of an EBNF grammar. ``source`` is the schema, expression, list or grammar; ``field`` is the
    request's, for errors.
    """

    kind: Literal["json", "regex", "choice", "grammar"]
    source: str
    field: str = "response_format"


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """Sampling of one request; ``None`` and neutral values leave a setting to the model's own defaults.

    Attributes:
        stop: strings that end the text before their first occurrence.
        seed: makes sampling repeatable as far as the batch rounds alike.
        top_k: candidates for each token, 0 for all.
        min_p: least probability of a candidate, as a share of the likeliest one's.
        repetition_penalty: divides the logits of tokens seen before.
        logprobs: how many alternatives to report beside each token's own log probability.

    """

    max_new_tokens: int
    temperature: float
    top_p: float
    stop: tuple[str, ...] = ()
    seed: int | None = None
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float | None = None
    logprobs: int | None = None

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is always chosen."""
        return is_greedy(self.temperature, self.top_p)


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One conversation to continue. When its last turn is the assistant's, that turn is continued.

    Attributes:
        id: unique (``unique_id``).
        raw: the only message is the prompt itself, without the model's chat template.
        thinking_budget: tokens after which a thought is closed.
        reasoning_effort: a word for an upstream that reads it.
        tools: offered to the model; ``engines.prompts.tools`` describes them to models that know none.
        output: what the text must be.
        grammar: EBNF of every text that ``tools`` and ``output`` allow; none for an upstream, which gets those two.
        stream: whether deltas are sent before the end.
        trace_headers: headers for an upstream server; they change nothing in the answer.

    """

    id: str
    messages: tuple[ChatMessage, ...]
    sampling: SamplingParams
    enable_thinking: bool = False
    thinking_budget: int | None = None
    reasoning_effort: str | None = None
    tools: Tools | None = None
    output: OutputFormat | None = None
    grammar: str | None = None
    raw: bool = False
    stream: bool = False
    trace_headers: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def continues(self) -> bool:
        """Whether the assistant's last turn is to be continued."""
        return self.messages[-1].role == "assistant"


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """Texts to embed, in order. ``input_type``: what they are in a search, for models that have a prompt for it."""

    id: str
    texts: tuple[str, ...]
    normalize: bool = True
    input_type: InputType | None = None


@dataclass(frozen=True, slots=True)
class RankingRequest:
    """Documents to score against a query, in order. ``raw``: scores before the model's activation function."""

    id: str
    query: str
    documents: tuple[str, ...]
    raw: bool = False


@dataclass(frozen=True, slots=True)
class TokenizeRequest:
    """A text to turn into token ids; or a conversation, as the model would read it.

    Attributes:
        text: control tokens in it are read as such.
        special: add the tokens that the tokenizer puts around a text.
        conversation: in place of the text; nothing is generated.

    """

    id: str
    text: str = ""
    special: bool = True
    conversation: GenerationRequest | None = None


@dataclass(frozen=True, slots=True)
class DetokenizeRequest:
    """Token ids to turn into a text, control tokens included."""

    id: str
    tokens: tuple[int, ...]


TextRequest = TokenizeRequest | DetokenizeRequest
"""Requests that a generator's tokenizer answers without the model."""
Request = GenerationRequest | EmbeddingRequest | RankingRequest | TextRequest


def unique_id(http_request_id: str | None) -> str:
    """Return an id for a request to a worker: the id of the HTTP request, for the worker's log lines, and a unique
    suffix, since a client may repeat an id or ask for several answers.
    """
    return f"{http_request_id or ''}/{uuid.uuid4().hex}"


def http_request_of(request_id: str) -> str:
    """Return the id of the HTTP request that a request belongs to; the id itself when it names none."""
    return request_id.partition("/")[0] or request_id.removeprefix("/")
