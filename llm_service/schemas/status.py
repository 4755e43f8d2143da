"""Wire model of ``/api/llm/status``."""

from typing import Literal

from pydantic import ConfigDict, Field

from schemas.common import WireModel
from schemas.health import HEALTH_EXAMPLE, HealthResponse, Worker

Role = Literal["generator", "embedder", "reranker"]


class ModelState(WireModel):
    """One model and its worker. Before it is loaded, only what was asked for is known."""

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
    """The state of the service for people: that of ``/api/llm/health``, each model, memory, and the last speed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                HEALTH_EXAMPLE
                | {
                    "models": [
                        {
                            "role": "generator",
                            "state": "ready",
                            "requested_model": "Qwen/Qwen3-1.7B",
                            "model": "Qwen/Qwen3-1.7B",
                            "degraded": False,
                            "backend": "openvino",
                            "artifact": "openvino",
                            "device": "cpu",
                            "context_length": 32768,
                            "memory_bytes": 2147483648,
                            "kv_cache_usage": 0.02,
                            "restarts": 0,
                        }
                    ],
                    "memory_bytes": 104857600,
                    "recent": {"seconds": 300.0, "answers": 12, "tokens_per_second": 21.5, "ttft_ms": 180.0},
                    "last_error": None,
                }
            ]
        }
    )

    models: list[ModelState]
    memory_bytes: int = Field(description="Resident memory of the process that speaks HTTP")
    recent: RecentSpeed
    last_error: LastError | None
