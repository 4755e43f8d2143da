"""Messages of the process boundary: commands to a worker, events from it.

``workers.frames`` frames them; ``workers.parent`` and ``workers.child`` are the two ends. The first frame to a worker
is its ``Settings``; then come requests and commands. A worker answers with ``Ready`` or the ``ModelLoadError``, then
with lists of ``RequestEvent``, and shows that it lives with a ``Heartbeat``.
"""

from dataclasses import dataclass

from engines.base import EngineInfo
from engines.llamacpp.endpoint import Endpoint
from engines.requests import Request


@dataclass(frozen=True, slots=True)
class Cancel:
    """The caller has left; unknown ids are ignored."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Shutdown:
    """End the process now."""


Command = Request | Cancel | Shutdown


@dataclass(frozen=True, slots=True)
class Ready:
    """The model is loaded and warm. With an ``endpoint`` requests go there over HTTP instead of through the pipe."""

    info: EngineInfo
    load_seconds: float
    endpoint: Endpoint | None = None
