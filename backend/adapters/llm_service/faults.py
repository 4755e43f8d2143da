"""Failures of calls to the LLM service, each with its effect on circuits and retries."""

from typing import Literal

from adapters.base import TechnicalError

Again = Literal["never", "elsewhere", "anywhere"]
"""Where a call may be retried: nowhere, at another address only, or at the same one too."""


class ServiceFault(TechnicalError):
    """A call to the LLM service failed; the kinds below say how.

    ``trips``: whether the circuit breaker counts it. ``again``: where a retry may help. Retries are
    safe, since generating and embedding change no state.
    """

    trips: bool = True
    again: Again = "elsewhere"


class Unreachable(ServiceFault):
    """The connection could not be established."""

    again: Again = "anywhere"

    def __init__(self, detail: str) -> None:
        super().__init__(f"the LLM service cannot be reached: {detail}", reason="connect")


class TimedOut(ServiceFault):
    """No complete answer within the time limit."""

    def __init__(self, detail: str = "the LLM service did not answer in time") -> None:
        super().__init__(detail, reason="timeout")


class HungUp(ServiceFault):
    """The connection closed before the answer was complete."""

    again: Again = "anywhere"

    def __init__(self, detail: str) -> None:
        super().__init__(f"the LLM service hung up: {detail}", reason="protocol")


class Malformed(ServiceFault):
    """The answer does not follow the LLM service's protocol."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="protocol")


class Broken(ServiceFault):
    """A 5xx other than "not now"."""

    def __init__(self, message: str, *, again: Again = "elsewhere", retry_after_s: float | None = None) -> None:
        super().__init__(message, reason="http_5xx", retry_after_s=retry_after_s)
        self.again = again


class Busy(ServiceFault):
    """The service is healthy but accepts no work now: queue full, model loading, shutting down."""

    trips = False

    def __init__(
        self, message: str, *, reason: str, again: Again = "elsewhere", retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, reason=reason, retry_after_s=retry_after_s)
        self.again = again


class PoolExhausted(Busy):
    """The client's connection pool is exhausted; nothing was sent."""

    def __init__(self) -> None:
        super().__init__("too many requests to the LLM service are under way", reason="overloaded")


class CircuitOpen(ServiceFault):
    """The circuits of all addresses are open; nothing was sent."""

    trips = False
    again: Again = "never"

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(
            "the LLM service failed repeatedly and is left alone for a moment",
            reason="circuit_open",
            retry_after_s=retry_after_s,
        )


class Disabled(ServiceFault):
    """The LLM service is disabled by configuration."""

    trips = False
    again: Again = "never"

    def __init__(self) -> None:
        super().__init__("the LLM service is disabled in the configuration", reason="disabled")
