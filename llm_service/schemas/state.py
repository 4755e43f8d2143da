"""Wire models of ``/api/llm/health``, ``/api/llm/status`` and the operations endpoints."""

from typing import Literal

from pydantic import Field

from schemas.common import WireModel

Worker = Literal["loading", "ready", "restarting", "failed", "stopped"]
Role = Literal["generator", "embedder", "reranker"]


class QueueState(WireModel):
    """Generation requests inside the service."""

    running: int
    waiting: int
    capacity: int


class WorkerStates(WireModel):
    """The worker processes; ``reranker`` is null without RERANK_MODEL."""

    generator: Worker
    embedder: Worker
    reranker: Worker | None


class HealthResponse(WireModel):
    """The state of the service. ``degraded``: a model other than the configured one is loaded."""

    status: Literal["healthy", "loading", "degraded", "unhealthy"]
    model: str
    device: str
    embedding_model: str
    backend: str | None
    artifact: str | None
    requested_model: str
    degraded: bool
    fingerprint: str | None
    rerank_model: str | None
    queue: QueueState
    workers: WorkerStates
    restarts: int
    error: str | None
    uptime_s: float
    version: str


class ModelState(WireModel):
    """One model and its worker. Before it is loaded, only the requested name is known."""

    role: Role
    state: Worker
    requested_model: str
    model: str | None
    degraded: bool = Field(description="Another model stands in for the requested one")
    backend: str | None
    artifact: str | None
    device: str | None
    context_length: int | None
    memory_bytes: int | None = Field(
        description="Resident memory of its processes, mapped weights included; null for a model elsewhere"
    )
    kv_cache_usage: float | None
    restarts: int


class RecentSpeed(WireModel):
    """Medians of the answers computed in the last ``seconds``."""

    seconds: float
    answers: int
    tokens_per_second: float | None
    ttft_ms: float | None


class LastError(WireModel):
    """The last failure of a worker since the start; stays after its replacement is ready."""

    role: Role
    message: str
    at: float = Field(description="Seconds of Unix time")


class StatusResponse(HealthResponse):
    """The state of the service for people: that of ``/api/llm/health``, each model, memory, and the recent speed."""

    models: list[ModelState]
    memory_bytes: int = Field(description="Resident memory of the process that speaks HTTP")
    recent: RecentSpeed
    last_error: LastError | None


class Liveness(WireModel):
    """The process is up."""

    status: Literal["alive"]


class Readiness(WireModel):
    """Whether requests are served, and the reason if not."""

    status: Literal["ready", "loading", "unhealthy", "draining"]


class Version(WireModel):
    """Name and version of the service."""

    service: str = Field(examples=["LLM Microservice"])
    version: str = Field(examples=["1.0.0"])


class Root(Version):
    """Name, version and documentation of the service."""

    status: Literal["running"]
    docs: str = Field(examples=["/docs"])
