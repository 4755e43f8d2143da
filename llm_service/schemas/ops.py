"""Wire models of the operations endpoints."""

from typing import Literal

from pydantic import Field

from schemas.common import WireModel


class Liveness(WireModel):
    """The process is up."""

    status: Literal["alive"]


class Readiness(WireModel):
    """Whether requests are served, and the reason if not."""

    status: Literal["ready", "loading", "unhealthy", "draining"]


class Version(WireModel):
    """Name and version of the service."""

    service: str = Field(examples=["LLM Microservice"])
    version: str = Field(examples=["1.0.0"])


class Root(Version):
    """Name, version and documentation of the service."""

    status: Literal["running"]
    docs: str = Field(examples=["/docs"])
