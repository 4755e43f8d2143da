"""Wire models of ``/v1/models``."""

from typing import Literal

from pydantic import ConfigDict, Field

from schemas.common import WireModel


class Model(WireModel):
    """A served model."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "Qwen/Qwen3-1.7B",
                    "object": "model",
                    "created": 1795424545,
                    "owned_by": "Qwen",
                }
            ]
        }
    )

    id: str
    object: Literal["model"]
    created: int = Field(description="When the service was started, in seconds since 1970")
    owned_by: str = Field(description="Who publishes it, or local")


class ModelList(WireModel):
    """The served models: the chat model and the embedding model."""

    object: Literal["list"]
    data: list[Model]
