"""Messages of the process boundary: commands to a worker, events from it.

``workers.frames`` frames them; ``workers.parent`` and ``workers.child`` are the two ends. The first frame to a worker
is its ``Settings``; events of requests come as lists of ``RequestEvent``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from engines.base import EngineInfo
from engines.llamacpp.endpoint import Endpoint
from engines.requests import Request


@dataclass(frozen=True, slots=True)
class Submit:
    """A request to serve."""

    request: Request


@dataclass(frozen=True, slots=True)
class Cancel:
    """The caller has left; unknown ids are ignored."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Shutdown:
    """End the process now."""


Command = Submit | Cancel | Shutdown


@dataclass(frozen=True, slots=True)
class Ready:
    """The model is loaded and warm. With an ``endpoint`` requests go there over HTTP instead of through the pipe."""

    info: EngineInfo
    load_seconds: float
    endpoint: Endpoint | None = None


@dataclass(frozen=True, slots=True)
class LoadFailed:
    """The model cannot be loaded. ``fatal``: another attempt with the same settings cannot succeed."""

    message: str
    fatal: bool


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Sign of life of the worker's loop.

    ``batch_sizes``: steps since the last heartbeat, counted by how many requests (or texts) each computed together.
    ``kv_cache_usage`` as ``Engine`` has it.
    """

    kv_cache_usage: float | None = None
    batch_sizes: Mapping[int, int] = field(default_factory=dict)
