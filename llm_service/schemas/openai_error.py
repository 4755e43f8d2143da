"""Wire model of errors on ``/v1/*``."""

from typing import Literal

from pydantic import ConfigDict

from schemas.common import WireModel


class OpenAIErrorDetail(WireModel):
    """What went wrong. ``code`` says it to programs, ``param`` names the field at fault."""

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
