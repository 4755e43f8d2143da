"""Failures of calls to the LLM service, each with its effect on circuits and retries."""

from adapters.ports.models import Reason, TechnicalError

NOT_NOW: dict[str, Reason] = {"overloaded": "overloaded", "model_loading": "loading", "draining": "draining"}
"""Error types of a service that is healthy but accepts no work now, with their reasons."""
REASONS: dict[str, Reason] = {**NOT_NOW, "local_unavailable": "local_unavailable"}
"""Error types with a reason of their own; ``local_unavailable`` is sent by a local model that cannot be loaded."""
TRIPPING = frozenset({"connect", "timeout", "protocol", "http_5xx"})
"""Reasons that a circuit breaker counts."""


class ServiceFault(TechnicalError):
    """A call failed. ``anywhere``: a retry may help at the same address too, otherwise only at another one.

    Retries are safe, since generating and embedding change no state.
    """

    def __init__(
        self, message: str, *, reason: Reason, anywhere: bool = False, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, reason=reason, retry_after_s=retry_after_s)
        self.anywhere = anywhere


class TimedOut(ServiceFault):
    """No complete answer within the time limit."""

    def __init__(self, message: str = "the LLM service did not answer in time") -> None:
        super().__init__(message, reason="timeout")


class Malformed(ServiceFault):
    """The answer does not follow the LLM service's protocol."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="protocol")


class PoolExhausted(ServiceFault):
    """The client's connection pool is exhausted; nothing was sent."""

    def __init__(self) -> None:
        super().__init__("too many requests to the LLM service are running", reason="overloaded")
