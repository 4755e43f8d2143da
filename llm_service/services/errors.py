"""What can go wrong with a request, as classes with meaning; ``routers.errors`` maps them to HTTP.

Messages are written for the client: no internals, no paths.
"""


class ServiceError(Exception):
    """A request that was not answered. ``retryable``: the same request may succeed later."""

    type = "internal_error"
    retryable = False

    def __init__(self, message: str, *, retry_after_s: float | None = None, **details: int) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_s = retry_after_s
        self.details = details


class ModelLoading(ServiceError):
    """The model is not in memory yet."""

    type = "model_loading"
    retryable = True


class ModelUnavailable(ServiceError):
    """The model could not be loaded."""

    type = "model_unavailable"


class Overloaded(ServiceError):
    """As many requests wait as may."""

    type = "overloaded"
    retryable = True


class Draining(ServiceError):
    """The service is about to stop and takes no new work."""

    type = "draining"
    retryable = True


class DeadlineExceeded(ServiceError):
    """The time the request was given has passed."""

    type = "deadline_exceeded"
    retryable = True


class EngineRestarted(ServiceError):
    """The worker died or stalled while it had the request."""

    type = "engine_restarted"
    retryable = True


class GenerationFailed(ServiceError):
    """The request broke in the engine."""

    type = "generation_failed"


class ContextLengthExceeded(ServiceError):
    """The conversation is longer than the model can read."""

    type = "context_length_exceeded"


class Unsupported(ServiceError):
    """The engine in use cannot honour a field of the request."""

    type = "unsupported"


class InvalidRequest(ServiceError):
    """The request is malformed in a way that its schema does not show."""

    type = "invalid_request"
