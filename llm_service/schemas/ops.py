"""Wire models of what whoever runs the service asks."""

from typing import Literal

from pydantic import Field

from schemas.common import WireModel


class Liveness(WireModel):
    """The process answers."""

    status: Literal["alive"]


class Readiness(WireModel):
    """Whether requests are served, or why not."""

    status: Literal["ready", "loading", "unhealthy", "draining"]


class Version(WireModel):
    """Which service this is."""

    service: str = Field(examples=["LLM Microservice"])
    version: str = Field(examples=["1.0.0"])


class Root(Version):
    """Which service this is, and where to read on."""

    status: Literal["running"]
    docs: str = Field(examples=["/docs"])
