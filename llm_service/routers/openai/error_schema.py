"""Wire model of errors on ``/v1/*``."""

from typing import Literal

from pydantic import ConfigDict

from schemas.common import WireModel


class OpenAIErrorDetail(WireModel):
    """The error. ``code`` is machine-readable, ``param`` names the invalid field."""

    message: str
    type: Literal["invalid_request_error", "server_error"]
    param: str | None
    code: str | None


class OpenAIErrorBody(WireModel):
    """Every error of ``/v1/*`` has this body."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "error": {
                        "message": "temperature: Input should be less than or equal to 2",
                        "type": "invalid_request_error",
                        "param": "temperature",
                        "code": "invalid_value",
                    }
                }
            ]
        }
    )

    error: OpenAIErrorDetail
