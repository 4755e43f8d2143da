"""Wire models of health and readiness."""

from typing import Any, Literal

from pydantic import BaseModel, Field


class Liveness(BaseModel):
    """The process is up."""

    status: Literal["alive"]


class Readiness(BaseModel):
    """Whether questions can be answered, and the conditions checked."""

    status: Literal["ready", "starting"]
    checks: dict[str, bool] = Field(examples=[{"database": True, "lexicon": True}])


class Health(BaseModel):
    """The backend and its dependencies."""

    status: Literal["healthy", "degraded", "unhealthy"]
    service: str = Field(examples=["MIAPPBORA backend"])
    version: str = Field(examples=["1.0.0"])
    checks: dict[str, bool] = Field(examples=[{"database": True, "lexicon": True}])
    llm_service: dict[str, Any] = Field(description="What the service says of itself, or why it says nothing")
