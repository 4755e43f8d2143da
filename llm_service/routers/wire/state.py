"""Bodies of ``/api/llm/health`` and ``/api/llm/status``."""

import asyncio
import time
from typing import Any

from fastapi import Request

from config.settings import Settings
from observability.memory import own_resident_bytes, resident_bytes
from observability.metrics import Metrics
from services.llm_service import LLMService
from workers.worker import Worker


def health_body(request: Request, service: LLMService, config: Settings) -> dict[str, Any]:
    """Return the body of ``/api/llm/health``; never waits."""
    info, embedder = service.info("generator"), service.info("embedder")
    health, places, workers = service.health(), service.places, service.workers
    states = {role: worker.state for role, worker in workers.items()}
    return {
        "status": health.status,
        "model": service.model_name,
        "device": info.device if info else config.llm_device_map,
        "embedding_model": service.name("embedder"),
        "backend": info.backend if info else None,
        "artifact": info.artifact if info else None,
        "requested_model": config.llm_model,
        "degraded": bool(info and info.degraded),
        "fingerprint": embedder.fingerprint if embedder else None,
        "rerank_model": service.name("reranker"),
        "queue": {"running": places.running, "waiting": places.waiting, "capacity": places.capacity},
        "workers": {"reranker": None, **states},
        "restarts": sum(worker.restarts for worker in workers.values()),
        "error": health.last_error,
        "uptime_s": round(time.monotonic() - request.app.state.started, 1),
        "version": config.app_version,
    }


async def status_body(request: Request, service: LLMService, config: Settings) -> dict[str, Any]:
    """Return the body of ``/api/llm/status``."""
    metrics: Metrics = request.app.state.metrics
    workers = service.workers
    held = await asyncio.to_thread(resident_bytes, {role: worker.pid for role, worker in workers.items()})
    faults = [(worker.last_fault, role) for role, worker in workers.items() if worker.last_fault]
    fault, role = max(faults, key=lambda each: each[0].at, default=(None, ""))
    return health_body(request, service, config) | {
        "models": [
            {"role": role, "requested_model": service.requested[role], "memory_bytes": held[role], **_model(worker)}
            for role, worker in workers.items()
        ],
        "memory_bytes": own_resident_bytes(),
        "recent": metrics.recent.speed(),
        "last_error": fault and {"role": role, "message": fault.message, "at": round(fault.at, 1)},
    }


def _model(worker: Worker) -> dict[str, Any]:
    known = ("model", "backend", "artifact", "device", "context_length")
    return {
        "state": worker.state,
        "degraded": bool(worker.info and worker.info.degraded),
        **{name: getattr(worker.info, name, None) for name in known},
        "kv_cache_usage": worker.kv_cache_usage,
        "restarts": worker.restarts,
    }
