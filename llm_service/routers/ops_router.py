"""Liveness, readiness, metrics, version."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from service_kit.observability.metrics import CONTENT_TYPE

from observability.metrics import Metrics
from routers.dependencies import Config, Service
from routers.error_docs import responses
from schemas.state import Liveness, Readiness, Root, Version
from services.drain import Drain

router = APIRouter(tags=["Operations"])


@router.get("/livez", summary="The process answers", response_description="It does", responses=responses(405))
async def livez() -> Liveness:
    """Always 200, regardless of the models' state."""
    return Liveness(status="alive")


@router.get(
    "/readyz",
    response_model=Readiness,
    summary="Both models are loaded and warm",
    response_description="They are, or another model stands in for the requested one",
    responses={503: {"model": Readiness, "description": "Loading, restarting or stopping"}, **responses(405)},
)
async def readyz(request: Request, service: Service) -> JSONResponse:
    """200 when requests will be served, 503 while loading, restarting or draining."""
    drain: Drain = request.app.state.drain
    status = "draining" if drain.draining else service.health().status
    ready = status in ("healthy", "degraded")
    return JSONResponse({"status": "ready" if ready else status}, 200 if ready else 503)


@router.get(
    "/metrics",
    # ``Response`` has no media type of its own, so the documented errors keep theirs.
    response_class=Response,
    summary="Counts and times for Prometheus",
    response_description="In Prometheus's text format",
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **responses(401, 405)},
)
async def metrics(request: Request) -> Response:
    """The metrics listed in docs/operations.md. If an API key is set, Prometheus must send it."""
    counts: Metrics = request.app.state.metrics
    return Response(counts.exposition(), media_type=CONTENT_TYPE)


@router.get("/version", summary="Name and version", response_description="Both", responses=responses(401, 405))
async def version(config: Config) -> Version:
    """The version of this service."""
    return Version(service=config.app_name, version=config.app_version)


@router.get(
    "/", summary="What this is", response_description="Name, version, documentation", responses=responses(401, 405)
)
async def root(config: Config) -> Root:
    """Name, version, and location of the documentation."""
    return Root(service=config.app_name, version=config.app_version, status="running", docs="/docs")
