"""What whoever runs the backend asks of it."""

from typing import Any, Literal

from pydantic import BaseModel, Field


class Liveness(BaseModel):
    """The process is up."""

    status: Literal["alive"]


class Readiness(BaseModel):
    """Whether questions can be answered, and by which conditions."""

    status: Literal["ready", "starting"]
    checks: dict[str, bool] = Field(examples=[{"database": True, "lexicon": True}])


class Health(BaseModel):
    """The backend and its neighbours."""

    status: Literal["healthy", "degraded", "unhealthy"]
    service: str = Field(examples=["MIAPPBORA backend"])
    version: str = Field(examples=["0.1.0"])
    checks: dict[str, bool] = Field(examples=[{"database": True, "lexicon": True}])
    llm_service: dict[str, Any] = Field(description="What the service says of itself, or why it says nothing")
