"""For whoever runs the service: is the process up, may traffic come, what version is this."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from routers.dependencies import Config, Service
from services.drain import Drain

router = APIRouter(tags=["Operations"])


@router.get("/livez", summary="The process answers")
async def livez() -> dict[str, str]:
    """Always 200; says nothing about the models."""
    return {"status": "alive"}


@router.get("/readyz", summary="Both models are loaded and warm", responses={503: {"description": "Not ready"}})
async def readyz(request: Request, service: Service) -> JSONResponse:
    """200 when requests will be served, 503 while loading, restarting or draining."""
    drain: Drain = request.app.state.drain
    state = service.health()
    status = "draining" if drain.draining else state.status
    ready = status in ("healthy", "degraded")
    return JSONResponse({"status": "ready" if ready else status}, 200 if ready else 503)


@router.get("/version", summary="Name and version")
async def version(config: Config) -> dict[str, str]:
    """The version of this service."""
    return {"service": config.app_name, "version": config.app_version}


@router.get("/", summary="What this is")
async def root(config: Config) -> dict[str, str]:
    """Name, version, and where the documentation is."""
    return {"service": config.app_name, "version": config.app_version, "status": "running", "docs": "/docs"}
