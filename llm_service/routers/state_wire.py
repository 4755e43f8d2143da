"""Bodies of ``/api/llm/health`` and ``/api/llm/status``."""

import asyncio
import time
from typing import Any

from fastapi import Request

from config.settings import Settings
from observability.memory import own_resident_bytes, resident_bytes
from observability.metrics import Metrics
from observability.recent import WINDOW_S
from services.llm_service import LLMService
from services.results import Health, Load, WorkerLoad


def health_body(state: Health, request: Request, service: LLMService, config: Settings) -> dict[str, Any]:
    """Return the body of ``/api/llm/health``."""
    info, embedder = state.generator_info, state.embedder_info
    return {
        "status": state.status,
        "model": service.model_name,
        "device": service.device,
        "embedding_model": embedder.model if embedder else config.embedding_model,
        "backend": info.backend if info else None,
        "artifact": info.artifact if info else None,
        "requested_model": config.llm_model,
        "degraded": bool(info and info.degraded),
        "fingerprint": embedder.fingerprint if embedder else None,
        "rerank_model": state.reranker_info.model if state.reranker_info else config.rerank_model,
        "queue": {"running": state.running, "waiting": state.waiting, "capacity": state.capacity},
        "workers": {"generator": state.generator, "embedder": state.embedder, "reranker": state.reranker},
        "restarts": state.restarts,
        "error": state.last_error,
        "uptime_s": round(time.monotonic() - request.app.state.started, 1),
        "version": config.app_version,
    }


async def status_body(request: Request, service: LLMService, config: Settings) -> dict[str, Any]:
    """Return the body of ``/api/llm/status``."""
    metrics: Metrics = request.app.state.metrics
    load, speed = service.load(), metrics.recent.speed()
    held = await asyncio.to_thread(resident_bytes, {role: worker.pid for role, worker in load.workers.items()})
    asked = {"generator": config.llm_model, "embedder": config.embedding_model, "reranker": config.rerank_model}
    return health_body(service.health(), request, service, config) | {
        "models": [
            {"role": role, "requested_model": asked[role], "memory_bytes": held[role], **_model(worker)}
            for role, worker in load.workers.items()
        ],
        "memory_bytes": own_resident_bytes(),
        "recent": {
            "seconds": WINDOW_S,
            "answers": speed.answers,
            "tokens_per_second": speed.tokens_per_second,
            "ttft_ms": speed.ttft_ms,
        },
        "last_error": _last_error(load),
    }


def _model(worker: WorkerLoad) -> dict[str, Any]:
    info = worker.info
    return {
        "state": worker.state,
        "model": info.model if info else None,
        "degraded": bool(info and info.degraded),
        "backend": info.backend if info else None,
        "artifact": info.artifact if info else None,
        "device": info.device if info else None,
        "context_length": info.context_length if info else None,
        "kv_cache_usage": worker.kv_cache_usage,
        "restarts": worker.restarts,
    }


def _last_error(load: Load) -> dict[str, Any] | None:
    faults = [(worker.last_fault, role) for role, worker in load.workers.items() if worker.last_fault]
    if not faults:
        return None
    fault, role = max(faults, key=lambda each: each[0].at)
    return {"role": role, "message": fault.message, "at": round(fault.at, 1)}
