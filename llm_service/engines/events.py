"""Events of a request, as plain data."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from engines.errors import ServiceError
from engines.requests import ToolCall

FinishReason = Literal["stop", "length"]
FloatMatrix = npt.NDArray[np.float32]
FloatVector = npt.NDArray[np.float32]


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
