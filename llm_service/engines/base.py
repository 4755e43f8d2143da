"""The protocol between the HTTP process and the worker processes, and what an engine must do.

Everything here is plain data and protocols: no model library, no HTTP. Commands travel from the
HTTP process to a worker, events travel back; ``engines.transport`` frames them, ``engines.worker``
and ``engines.client`` are the two ends.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

FinishReason = Literal["stop", "length", "cancelled"]
FloatMatrix = npt.NDArray[np.float32]


class Failure(StrEnum):
    """Why a worker could not do what a request asked."""

    CONTEXT_LENGTH_EXCEEDED = "context_length_exceeded"
    UNSUPPORTED = "unsupported"
    """This engine cannot honour one of the request's fields."""
    GENERATION_FAILED = "generation_failed"
    ENGINE_RESTARTED = "engine_restarted"
    """The worker died or stalled while it had the request."""
    OVERLOADED = "overloaded"
    """A server behind this one has as much to do as it takes on."""
    UNAVAILABLE = "unavailable"
    """A server behind this one does not work with these settings."""


# --- what is asked ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One turn; ``role`` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How to sample one request.

    ``temperature`` 0 is greedy decoding. ``seed`` makes sampling repeatable. ``stop`` strings end
    the text before their first occurrence. ``json_schema`` is a JSON schema as text that the answer
    must follow.
    """

    max_new_tokens: int
    temperature: float
    top_p: float
    stop: tuple[str, ...] = ()
    seed: int | None = None
    json_schema: str | None = None


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One conversation to continue. ``stream`` says whether deltas are wanted on the way. For ids see
    ``engines.request_ids``. ``trace_headers`` are for whoever sends it on over HTTP; no part of what is asked.
    """

    id: str
    messages: tuple[ChatMessage, ...]
    sampling: SamplingParams
    enable_thinking: bool = False
    stream: bool = False
    trace_headers: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """Texts to embed, in order."""

    id: str
    texts: tuple[str, ...]
    normalize: bool = True


# --- what a worker is started with ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """What a worker needs of the settings; the first frame it reads."""

    model: str
    backend: str
    offline_model: str = "embedded"
    device_map: str = "auto"
    dtype: str = "auto"
    max_batch: int = 16
    kv_cache_gb: float = 0.0
    max_batched_tokens: int = 0
    reproducible: bool = True
    prompt_lookup: bool = True
    stream_interval_s: float = 0.0
    cache_dir: str = ""
    hub_environment: Mapping[str, str] = field(default_factory=dict)
    log_level: str = "INFO"
    log_format: Literal["auto", "text", "json"] = "auto"


# --- commands: HTTP process → worker ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Submit:
    """Take this request on."""

    request: GenerationRequest | EmbeddingRequest


@dataclass(frozen=True, slots=True)
class Cancel:
    """Nobody waits for this request any more; unknown ids are ignored."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Leave now."""


Command = Submit | Cancel | Shutdown


# --- events: worker → HTTP process --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What a worker loaded, for health and for answers.

    ``model`` is what answers; ``requested_model`` what the settings name; they differ, and
    ``degraded`` is true, when the offline model stands in. ``artifact`` is the kind of file that
    was loaded (gguf, openvino, safetensors, none). ``context_length`` in tokens. ``fingerprint``
    differs between models whose outputs must not be mixed (``engines.fingerprint`` for embedders,
    ``engines.model_fingerprint`` for generators). Only embedders have a ``dimension``.
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


@dataclass(frozen=True, slots=True)
class Ready:
    """The model is loaded and has been run once."""

    info: EngineInfo
    load_seconds: float


@dataclass(frozen=True, slots=True)
class LoadFailed:
    """The model cannot be loaded. ``fatal``: trying again with the same settings cannot help."""

    message: str
    fatal: bool


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The worker's loop turns. ``batch_sizes``: how many steps since the last heartbeat computed so many
    requests (or texts, of an embedder) together. ``kv_cache_usage`` as ``Engine`` has it.
    """

    running: int
    kv_cache_usage: float | None = None
    batch_sizes: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of text, whole characters only. ``thought``: the engine itself says that it is no part of the
    answer; otherwise the tags around thoughts are in the text.
    """

    request_id: str
    text: str
    thought: bool = False


@dataclass(frozen=True, slots=True)
class FirstToken:
    """The first token of a request has been computed (its prompt is read). ``inside_thought``: the
    prompt ended with an opened thought, so the text that follows begins inside it.
    """

    request_id: str
    inside_thought: bool = False


@dataclass(frozen=True, slots=True)
class Finished:
    """A request's whole text and its token counts; ``reasoning`` is the thought, where the engine tells it
    from the text.
    """

    request_id: str
    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    reasoning: str | None = None


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors of one request: float32, shape (texts, dimension), with the tokens read of each text
    and whether it was cut at the model's limit.
    """

    request_id: str
    vectors: FloatMatrix
    tokens: tuple[int, ...]
    truncated: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """A request that will not be answered. ``message`` is fit for the client, ``retry_after_s`` in seconds."""

    request_id: str
    failure: Failure
    message: str
    details: dict[str, int] = field(default_factory=dict)
    retry_after_s: float | None = None


RequestEvent = FirstToken | TextDelta | Finished | Embedded | Failed
WorkerEvent = Ready | LoadFailed | Heartbeat | RequestEvent


# --- engines ------------------------------------------------------------------------------------


class RequestRejected(Exception):
    """An engine will not take a request on; becomes ``Failed``."""

    def __init__(self, failure: Failure, message: str, **details: int) -> None:
        super().__init__(message)
        self.failure = failure
        self.details = details


class EngineBroken(Exception):
    """The engine cannot go on with any request; its process must be replaced."""


class ModelLoadError(Exception):
    """A model cannot be loaded. ``fatal``: the settings must change before it can be."""

    def __init__(self, message: str, *, fatal: bool = True) -> None:
        super().__init__(message)
        self.fatal = fatal


class Engine(Protocol):
    """One loaded model, driven by one thread.

    ``submit`` returns at once; ``step`` does a bounded piece of work for whatever is under way and
    returns what came of it. Every submitted request ends with exactly one ``Finished``,
    ``Embedded`` or ``Failed``, or with nothing when it was cancelled.
    """

    info: EngineInfo

    def warm_up(self) -> None:
        """Run the model once, so that the first request pays for no compilation."""
        ...

    def submit(self, request: GenerationRequest | EmbeddingRequest) -> None:
        """Take a request on; raise ``RequestRejected`` when it cannot be served."""
        ...

    def cancel(self, request_id: str) -> None:
        """Drop a request and free what it holds; unknown ids are ignored."""
        ...

    def step(self) -> Sequence[RequestEvent]:
        """Advance the requests under way; raise ``EngineBroken`` when none can be any more."""
        ...

    @property
    def running(self) -> int:
        """Requests taken on and not ended."""
        ...

    @property
    def batch_size(self) -> int:
        """Requests, or texts of an embedder, that the last step computed together; 0 when that was none."""
        ...

    @property
    def kv_cache_usage(self) -> float | None:
        """Share of the KV cache that requests hold, 0 to 1; ``None`` where the engine does not say."""
        ...

    def close(self) -> None:
        """Release the model."""
        ...
