"""Error body of every endpoint."""

from pydantic import BaseModel


class ErrorDetail(BaseModel):
    """``type`` is for programs, ``message`` for people; ``retryable``: the same request may succeed later."""

    type: str
    message: str
    request_id: str
    retryable: bool


class ErrorBody(BaseModel):
    """``{"error": {…}}``."""

    error: ErrorDetail
