"""What can go wrong with a call to the LLM service: each kind says what follows from it."""

from typing import Literal

from adapters.base import TechnicalError

Again = Literal["never", "elsewhere", "anywhere"]
"""Where a call may be sent again: nowhere, to another address only, or to the same one too."""


class ServiceFault(TechnicalError):
    """A call to the LLM service failed; the kinds below say how.

    ``trips``: it says that the service is in trouble, so the circuit breaker counts it. ``again``:
    where another try may help. Generating and embedding change nothing, so a second try is safe.
    """

    trips: bool = True
    again: Again = "elsewhere"


class Unreachable(ServiceFault):
    """No connection came about."""

    again: Again = "anywhere"

    def __init__(self, detail: str) -> None:
        super().__init__(f"the LLM service cannot be reached: {detail}", reason="connect")


class TimedOut(ServiceFault):
    """No answer, or not the whole of it, in the time there was."""

    def __init__(self, detail: str = "the LLM service did not answer in time") -> None:
        super().__init__(detail, reason="timeout")


class HungUp(ServiceFault):
    """The connection ended before the answer did."""

    again: Again = "anywhere"

    def __init__(self, detail: str) -> None:
        super().__init__(f"the LLM service hung up: {detail}", reason="protocol")


class Malformed(ServiceFault):
    """What answered does not speak as the LLM service does."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="protocol")


class Broken(ServiceFault):
    """A 5xx other than "not now"."""

    def __init__(self, message: str, *, again: Again = "elsewhere", retry_after_s: float | None = None) -> None:
        super().__init__(message, reason="http_5xx", retry_after_s=retry_after_s)
        self.again = again


class Busy(ServiceFault):
    """A healthy service that takes nothing right now: queue full, model loading, shutting down."""

    trips = False

    def __init__(
        self, message: str, *, reason: str, again: Again = "elsewhere", retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, reason=reason, retry_after_s=retry_after_s)
        self.again = again


class PoolExhausted(Busy):
    """Too many calls of ours are under way; nothing was sent."""

    def __init__(self) -> None:
        super().__init__("too many requests to the LLM service are under way", reason="overloaded")


class CircuitOpen(ServiceFault):
    """Every address failed repeatedly and is left alone for a moment; nothing was sent."""

    trips = False
    again: Again = "never"

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(
            "the LLM service failed repeatedly and is left alone for a moment",
            reason="circuit_open",
            retry_after_s=retry_after_s,
        )


class Disabled(ServiceFault):
    """The configuration says not to ask."""

    trips = False
    again: Again = "never"

    def __init__(self) -> None:
        super().__init__("the LLM service is disabled in the configuration", reason="disabled")
