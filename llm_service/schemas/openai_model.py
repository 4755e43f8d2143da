"""Wire models of ``/v1/models``."""

from typing import Literal

from pydantic import Field

from schemas.common import WireModel


class Model(WireModel):
    """A model that is served."""

    id: str
    object: Literal["model"]
    created: int = Field(description="When the service was started, in seconds since 1970")
    owned_by: str = Field(description="Who publishes it, or local")


class ModelList(WireModel):
    """The models that are served: one that chats, one that embeds."""

    object: Literal["list"]
    data: list[Model]
