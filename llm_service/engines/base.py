"""The protocol of engines: requests in, events out. No model library, no HTTP."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from engines.events import Detokenized, RequestEvent, Tokenized
from engines.requests import DetokenizeRequest, Request, TokenizeRequest


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """The loaded model, as health and answers report it.

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


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Sign of life of a worker. ``kv_cache_usage`` as ``Engine`` has it; ``batch_sizes``: steps since the last one,
    counted by how many requests (or texts) each computed together.
    """

    kv_cache_usage: float | None = None
    batch_sizes: Mapping[int, int] = field(default_factory=dict)


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
