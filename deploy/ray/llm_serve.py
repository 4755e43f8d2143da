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
    """Where each replica answers GETs by itself (/metrics, /api/llm/health, /readyz)."""
    door_port: int = Field(default=9401, ge=0, le=65535)
    """The first replica's port on a machine; the next one has the next. 0: no such door."""
    patience_s: float | None = Field(default=None, gt=0)
    """Replace a replica whose worker has been away for so long; without it, by how long loading took."""


@serve.deployment(name="LLM")
@serve.ingress()  # type: ignore[untyped-decorator, unused-ignore]
class LLM:
    """One replica: the whole service, its two workers included."""

    def __init__(self, arguments: Arguments) -> None:
        # The app's modules are imported flat from its own folder, here only: nothing else of Ray needs them.
        sys.path.insert(0, str(LLM_SERVICE))
        from config.settings import settings
        from services.llm_service import get_llm_service

        self._arguments = arguments
        # Asked for here first, so that models that cannot be loaded end the replica's initialisation with
        # the reason; by itself the application would end the process.
        service = get_llm_service(on_fatal=lambda _: None)
        self._watch = HealthWatch(service.health, settings.llm_load_timeout_s, arguments.patience_s)
        self._door: asyncio.Task[None] | None = None

    async def __serve_build_asgi_app__(self) -> "FastAPI":
        """Return the application; Serve runs its lifespan, which starts and ends the workers."""
        from main import app

        app.add_middleware(NamesReplica, replica=serve.get_replica_context().replica_id.unique_id)
        if self._arguments.door_port:
            listening = first_free(self._arguments.door_host, self._arguments.door_port)
            self._door = open_door(app, listening)
        return app

    async def check_health(self) -> None:
        """Raise when Serve should replace this replica. The first time, return when the models are loaded:
        only then does it get requests.
        """
        await self._watch.check()


def build(arguments: Arguments) -> "Application":
    """Return the application to be deployed."""
    deployment: Any = LLM
    bound: Application = deployment.bind(arguments)
    return bound
