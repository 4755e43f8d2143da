"""Liveness, readiness, health of the dependencies, metrics."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from service_kit.observability.metrics import CONTENT_TYPE
from starlette.responses import JSONResponse, Response

from adapters.ports.store import StoreUnavailable
from observability.metrics import Metrics
from routers.dependencies import Services, ServicesDep
from routers.error_docs import responses
from schemas.ops import Health, Liveness, Readiness

router = APIRouter(tags=["Operations"])
_PING_S = 1.0


@router.get("/livez", summary="The process is up", response_description="It is", responses=responses(405))
async def livez() -> Liveness:
    """Always 200 while the event loop runs."""
    return Liveness(status="alive")


@router.get(
    "/readyz",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "Starting, or the database is away"}, **responses(405)},
    summary="Questions can be answered",
    response_description="They can",
)
async def readyz(services: ServicesDep) -> JSONResponse:
    """Answer 200 once database, schema and lexicon are ready and while the database answers, else 503.

    Does not depend on the LLM service: without it, answers come from the local model or the entries.
    """
    checks = services.startup.checks()
    if all(checks.values()):
        checks["database"] = await _database_answers(services)
    ready = all(checks.values())
    headers = {} if ready else {"Retry-After": "1"}
    return JSONResponse({"status": "ready" if ready else "starting", "checks": checks}, 200 if ready else 503, headers)


@router.get(
    "/health",
    responses=responses(401, 405, 500),
    summary="The backend and its neighbours",
    response_description="What is known of them",
)
async def health(services: ServicesDep) -> Health:
    """Return what is known of the database and the LLM service; always 200."""
    database, llm_service = await asyncio.gather(_database_answers(services), _llm_service_health(services))
    ready = database and all(services.startup.checks().values())
    degraded = not ready or llm_service.get("status") != "healthy"
    return Health(
        status="healthy" if not degraded else "degraded" if ready else "unhealthy",
        service=services.settings.app_name,
        version=services.settings.app_version,
        checks={**services.startup.checks(), "database": database},
        llm_service=llm_service,
    )


@router.get(
    "/metrics",
    # ``Response`` has no media type of its own, so the documented errors keep theirs.
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **responses(401, 405)},
    summary="Counts and times for Prometheus",
    response_description="In Prometheus's text format",
)
async def metrics(request: Request) -> Response:
    """The metrics listed in docs/operations.md. If an API key is set, Prometheus must send it."""
    counts: Metrics = request.app.state.metrics
    return Response(counts.exposition(), media_type=CONTENT_TYPE)


async def _database_answers(services: Services) -> bool:
    try:
        async with asyncio.timeout(_PING_S):
            await services.store.ping()
    except (StoreUnavailable, TimeoutError):
        return False
    return True


async def _llm_service_health(services: Services) -> dict[str, Any]:
    return {"status": "disabled"} if services.llm_service is None else await services.llm_service.health_check()
