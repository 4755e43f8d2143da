"""Wire model of ``/api/llm/health``."""

from typing import Literal

from pydantic import ConfigDict, JsonValue

from schemas.common import WireModel

Worker = Literal["loading", "ready", "restarting", "failed", "stopped"]


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


HEALTH_EXAMPLE: dict[str, JsonValue] = {
    "status": "healthy",
    "model": "Qwen/Qwen3-1.7B",
    "device": "cpu",
    "embedding_model": "sentence-transformers/all-MiniLM-L6-v2",
    "backend": "openvino",
    "artifact": "OpenVINO/Qwen3-1.7B-int4-ov",
    "requested_model": "Qwen/Qwen3-1.7B",
    "degraded": False,
    "fingerprint": "23202422d3773d12",
    "queue": {"running": 1, "waiting": 0, "capacity": 80},
    "rerank_model": None,
    "workers": {"generator": "ready", "embedder": "ready", "reranker": None},
    "restarts": 0,
    "error": None,
    "uptime_s": 3600.5,
    "version": "1.0.0",
}


class HealthResponse(WireModel):
    """The state of the service. ``degraded``: a model other than the configured one is loaded."""

    model_config = ConfigDict(json_schema_extra={"examples": [HEALTH_EXAMPLE]})

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
