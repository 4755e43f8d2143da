"""The LLM service as a deployment of Ray Serve: what ``serve.yaml`` names (docs/ray.md)."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from health_watch import HealthWatch
from pydantic import BaseModel, ConfigDict, Field
from ray import serve
from replica_door import NamesReplica, first_free, open_door

if TYPE_CHECKING:
    from fastapi import FastAPI
    from ray.serve import Application

LLM_SERVICE = Path(__file__).resolve().parents[2] / "llm_service"


class Arguments(BaseModel):
    """``args`` of the application in ``serve.yaml``."""

    model_config = ConfigDict(extra="forbid")

    door_host: str = "127.0.0.1"
    """Host of each replica's own port for GET requests (/metrics, /api/llm/health, /readyz)."""
    door_port: int = Field(default=9401, ge=0, le=65535)
    """Own port of the first replica on a machine; further replicas use the next ones. 0: no such ports."""
    patience_s: float | None = Field(default=None, gt=0)
    """Seconds of worker outage after which a replica is replaced; derived from the load time by default."""


@serve.deployment(name="LLM")
@serve.ingress()  # type: ignore[untyped-decorator, unused-ignore]
class LLM:
    """One replica: the whole service, its workers included."""

    def __init__(self, arguments: Arguments) -> None:
        # The app's modules are top-level in its folder; only replicas need them on the path.
        sys.path.insert(0, str(LLM_SERVICE))
        from config.settings import settings
        from services.llm_service import get_llm_service

        self._arguments = arguments
        # Created here with its own ``on_fatal``, so that a model that cannot be loaded fails the replica's
        # initialisation with the reason; the application itself would end the process.
        service = get_llm_service(on_fatal=lambda _: None)
        self._watch = HealthWatch(service.workers, settings.llm_load_timeout_s, arguments.patience_s)
        self._door: asyncio.Task[None] | None = None

    async def __serve_build_asgi_app__(self) -> "FastAPI":
        """Return the application; Serve runs its lifespan, which starts and stops the workers."""
        from main import app

        app.add_middleware(NamesReplica, replica=serve.get_replica_context().replica_id.unique_id)
        if self._arguments.door_port:
            listening = first_free(self._arguments.door_host, self._arguments.door_port)
            self._door = open_door(app, listening)
        return app

    async def check_health(self) -> None:
        """Raise when Serve should replace this replica. The first call returns when the models are loaded;
        the replica receives no requests before.
        """
        await self._watch.check()


def build(arguments: Arguments) -> "Application":
    """Return the application to be deployed."""
    deployment: Any = LLM
    bound: Application = deployment.bind(arguments)
    return bound
