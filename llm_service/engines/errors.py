"""Errors of one request, as classes that travel from the engine to HTTP unchanged.

``routers.errors`` maps them to statuses. Messages are written for clients: no internals, no paths.
"""


class ServiceError(Exception):
    """A request that was not answered.

    Attributes:
        type: stable name for programs.
        retryable: the same request may succeed later.
        message: text for people, without the name of the field.
        field: field of the request at fault.
        retry_after_s: seconds to wait, if known.
        details: further numbers, such as ``prompt_tokens``.

    """

    type = "internal_error"
    retryable = False

    def __init__(
        self, message: str, *, field: str | None = None, retry_after_s: float | None = None, **details: int
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.retry_after_s = retry_after_s
        self.details = details


class ContextLengthExceeded(ServiceError):
    """The conversation does not fit the model's context."""

    type = "context_length_exceeded"


class Unsupported(ServiceError):
    """The engine in use cannot honour a field of the request."""

    type = "unsupported"


class NotConfigured(ServiceError):
    """No model is set for this kind of request."""

    type = "not_configured"


class GenerationFailed(ServiceError):
    """The request broke in the engine; the same request would break again."""

    type = "generation_failed"


class EngineRestarted(ServiceError):
    """The worker, or an upstream server, was lost while it had the request."""

    type = "engine_restarted"
    retryable = True


class Overloaded(ServiceError):
    """The queue, or an upstream server's, is full."""

    type = "overloaded"
    retryable = True


class ModelLoading(ServiceError):
    """The model is not in memory yet."""

    type = "model_loading"
    retryable = True


class ModelUnavailable(ServiceError):
    """The model cannot be used with these settings."""

    type = "model_unavailable"


class Draining(ServiceError):
    """The service is stopping and accepts no new work."""

    type = "draining"
    retryable = True


def context_exceeded(prompt_tokens: int, context_length: int, *, at_least: bool = False) -> ContextLengthExceeded:
    """Return the refusal of a conversation of ``prompt_tokens`` tokens; ``at_least`` where counting stopped early."""
    count = f"at least {prompt_tokens}" if at_least else f"{prompt_tokens}"
    return ContextLengthExceeded(
        f"the conversation has {count} tokens; this model reads {context_length - 1}",
        prompt_tokens=prompt_tokens,
        context_length=context_length,
    )


def unknown_token(token: int) -> Unsupported:
    """Return the refusal of a token id that the model does not have."""
    return Unsupported(f"the model has no token {token}", field="tokens")
