"""Wire model of ``/api/llm/health``."""

from typing import Literal

from schemas.common import WireModel

Worker = Literal["loading", "ready", "restarting", "failed", "stopped"]


class QueueState(WireModel):
    """Generation requests inside the service."""

    running: int
    waiting: int
    capacity: int


class WorkerStates(WireModel):
    """The two worker processes."""

    generator: Worker
    embedder: Worker


class HealthResponse(WireModel):
    """The state of the service. ``degraded``: another model than the requested one answers."""

    status: Literal["healthy", "loading", "degraded", "unhealthy"]
    model: str
    device: str
    embedding_model: str
    backend: str | None
    artifact: str | None
    requested_model: str
    degraded: bool
    fingerprint: str | None
    queue: QueueState
    workers: WorkerStates
    restarts: int
    error: str | None
    uptime_s: float
    version: str
