"""The protocol of engines: requests in, events out. Plain data, no model library, no HTTP."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from engines.errors import ServiceError

FinishReason = Literal["stop", "length"]
ToolMode = Literal["none", "auto", "required"]
InputType = Literal["query", "document"]
FloatMatrix = npt.NDArray[np.float32]
FloatVector = npt.NDArray[np.float32]

GREEDY_TEMPERATURE = 1e-3
"""Below it sampling is greedy decoding: tokens whose logits differ by 0.01 are e^10 times as likely. Logits divided
by much smaller numbers overflow."""
GREEDY_TOP_P = 1e-6
"""Below it the nucleus is the likeliest token: one of a million tokens has a larger share."""


def is_greedy(temperature: float, top_p: float) -> bool:
    """Whether these parameters always choose the likeliest token."""
    return temperature < GREEDY_TEMPERATURE or top_p < GREEDY_TOP_P


# --- requests -----------------------------------------------------------------------------------


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
    """What the whole text must be: JSON that follows a schema, a match of a regular expression, one of a JSON list of
    choices, or a word of an EBNF grammar. ``source`` is the schema, expression, list or grammar; ``field`` is the
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
        id: unique; see ``engines.request_ids``.
        raw: the only message is the prompt itself, without the model's chat template.
        thinking_budget: tokens after which a thought is closed.
        reasoning_effort: a word for an upstream that reads it.
        tools: offered to the model; ``engines.prompts.tools`` describes them to models that know none.
        output: what the text must be.
        grammar: EBNF of every text that ``tools`` and ``output`` allow; none for an upstream, which gets those two.
        stream: whether deltas are wanted before the end.
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
"""What a generator's tokenizer answers, without the model."""
Request = GenerationRequest | EmbeddingRequest | RankingRequest | TextRequest


# --- events -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Accepted:
    """The engine has the request: it is valid and fits. Engines that know only with the first token leave it out."""

    request_id: str


@dataclass(frozen=True, slots=True)
class FirstToken:
    """End of prefill: the first token of a request is computed. ``inside_thought``: the prompt ended with an opened
    thought, so the text begins inside it.
    """

    request_id: str
    inside_thought: bool = False


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token with the natural logarithm of its probability, and the likeliest tokens in its place."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of text, whole characters only. ``thought``: the engine itself marks it as no part of the answer;
    otherwise the tags around thoughts are in the text. ``logprobs``: tokens computed since the last piece, if wanted.
    """

    request_id: str
    text: str
    thought: bool = False
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of the call with this index: its id and name come first, then pieces of its arguments."""

    request_id: str
    index: int
    arguments: str = ""
    id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """The whole text of a request and its token counts; ``reasoning`` and ``tool_calls`` where the engine separates
    them from the text.
    """

    request_id: str
    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    reasoning: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors of one request: float32, shape (texts, dimension); for each text the tokens read and whether it was cut
    at the model's limit.
    """

    request_id: str
    vectors: FloatMatrix
    tokens: tuple[int, ...]
    truncated: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Ranked:
    """Scores of one request's documents, float32 of shape (documents,); for each the tokens read, the query's
    included, and whether something was cut at the model's limit.
    """

    request_id: str
    scores: FloatVector
    tokens: tuple[int, ...]
    truncated: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Tokenized:
    """Token ids of one request."""

    request_id: str
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Detokenized:
    """Text of one request."""

    request_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The end of a request that is not answered."""

    request_id: str
    error: ServiceError


LastEvent = Finished | Embedded | Ranked | Tokenized | Detokenized | Failed
"""The end of a request."""
RequestEvent = Accepted | FirstToken | TextDelta | ToolCallDelta | LastEvent


# --- engines ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What is loaded, for health and for answers.

    Attributes:
        model: the model that answers.
        requested_model: the model that the settings name.
        degraded: the offline model stands in for the requested one.
        artifact: gguf, openvino, safetensors or none.
        context_length: tokens.
        fingerprint: differs between models whose outputs must not be mixed (``engines.encoders.embedding_recipe``,
            ``models.fingerprint``).
        dimension: of vectors; embedders only.
        search_fingerprint: of vectors of an ``input_type``, the same for queries and documents; embedders only.

    """

    backend: str
    model: str
    requested_model: str
    artifact: str
    device: str
    context_length: int
    degraded: bool = False
    fingerprint: str | None = None
    dimension: int | None = None
    search_fingerprint: str | None = None


class EngineBroken(Exception):
    """The engine cannot continue with any request; its process must be replaced."""


class ModelLoadError(Exception):
    """A model cannot be loaded. ``fatal``: the settings must change first."""

    def __init__(self, message: str, *, fatal: bool = True) -> None:
        super().__init__(message)
        self.fatal = fatal


class Texts(Protocol):
    """The tokenizer of a generator; quick, so that it answers at once."""

    def tokenize(self, request: TokenizeRequest) -> Tokenized:
        """Return the token ids; raises ``ServiceError``."""
        ...

    def detokenize(self, request: DetokenizeRequest) -> Detokenized:
        """Return the text; raises ``ServiceError``, also for ids that the model does not have."""
        ...


class Engine(Protocol):
    """One loaded model, driven by one thread.

    Every submitted request ends with exactly one ``LastEvent``, or with nothing when it was cancelled. What the content
    of one request causes fails that request alone.
    """

    info: EngineInfo

    def warm_up(self) -> None:
        """Run the model once, so that the first request pays for no compilation."""
        ...

    def submit(self, request: Request) -> None:
        """Accept a request; raises ``ServiceError`` when it cannot be served. Returns without computing."""
        ...

    def cancel(self, request_id: str) -> None:
        """Drop a request and free what it holds; unknown ids are ignored."""
        ...

    def step(self) -> Sequence[RequestEvent]:
        """Do a bounded piece of work for the running requests; raises ``EngineBroken`` when none can continue."""
        ...

    @property
    def running(self) -> int:
        """Requests that are accepted and have not ended."""
        ...

    @property
    def batch_size(self) -> int:
        """Requests, or texts of an embedder, that the last step computed together; 0 when there were none."""
        ...

    @property
    def kv_cache_usage(self) -> float | None:
        """Share of the KV cache that requests hold, 0 to 1; ``None`` where the engine does not know."""
        ...

    def close(self) -> None:
        """Release the model."""
        ...
