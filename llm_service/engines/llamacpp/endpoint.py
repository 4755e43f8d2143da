"""Address and properties of a worker's llama.cpp server, sent to the parent. Plain data."""

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from engines.base import EngineInfo, Heartbeat
from engines.llamacpp.vocabulary import Vocabulary

SAMPLERS = "temperature;top_p"
"""What the server applies to every request, in order."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The server inside a worker process.

    Attributes:
        url: on loopback, ends in ``/v1``.
        slots: requests that it computes together.
        kv_tokens: tokens that all its requests together may hold.
        step_tokens: tokens that it computes in one step.
        copies_tokens: tokens that saved slots together may hold.
        folder: where they are saved.
        vocabulary: of its model.

    """

    url: str
    api_key: str = field(repr=False)
    slots: int
    kv_tokens: int
    step_tokens: int
    copies_tokens: int
    folder: str
    vocabulary: Vocabulary


@runtime_checkable
class EndpointServer(Protocol):
    """A loaded model that gets its requests over HTTP, unlike an ``Engine``, which is driven by commands."""

    info: EngineInfo
    endpoint: Endpoint

    def warm_up(self) -> None:
        """Run the model once."""
        ...

    def heartbeat(self) -> Heartbeat | None:
        """Return the progress since the last call; ``None`` when there is none although there are requests."""
        ...

    def close(self) -> None:
        """Remove the files that it keeps outside this process."""
        ...
