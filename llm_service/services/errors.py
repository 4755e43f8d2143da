"""Errors of the service itself, in addition to those of engines and workers."""

from engines.errors import ServiceError


class DeadlineExceeded(ServiceError):
    """The request's time limit has passed."""

    type = "deadline_exceeded"
    retryable = True


class InvalidRequest(ServiceError):
    """The request is contradictory in a way that its schema cannot express."""

    type = "invalid_request"


class ModelNotFound(ServiceError):
    """The request names a model that is not served."""

    type = "model_not_found"


class UnknownField(ServiceError):
    """A field that this service does not know, with ``LLM_STRICT_FIELDS``."""

    type = "unknown_parameter"


class InvalidTexts(InvalidRequest):
    """No texts to embed, or too many."""
