"""Wire model of ``/api/llm/health``."""

from typing import Literal

from pydantic import ConfigDict

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

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
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
                    "workers": {"generator": "ready", "embedder": "ready"},
                    "restarts": 0,
                    "error": None,
                    "uptime_s": 3600.5,
                    "version": "1.0.0",
                }
            ]
        }
    )

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
