"""Circuit breaker: stops calls to a failing dependency, then probes it with one call at a time."""

import time
from collections.abc import Callable
from enum import Enum
from typing import Literal

CircuitState = Literal["closed", "open", "half_open"]


class Outcome(Enum):
    """Result of an admitted call, as evidence of the dependency's health."""

    SUCCESS = "success"
    FAILURE = "failure"
    UNKNOWN = "unknown"
    """No evidence: the caller cancelled, or the call was never sent."""


class Permit:
    """Permission for one call; settled once with its outcome."""

    def __init__(self, settle: Callable[[Outcome], None], *, is_trial: bool) -> None:
        self._settle = settle
        self._settled = False
        self.is_trial = is_trial
        """Whether this is the probe call of a half-open circuit."""

    def settle(self, outcome: Outcome) -> None:
        """Record the outcome; later calls have no effect."""
        if not self._settled:
            self._settled = True
            self._settle(outcome)

    def settle_trial(self) -> None:
        """Record the success of a trial before it ends; has no effect on other calls."""
        if self.is_trial:
            self.settle(Outcome.SUCCESS)


class Circuit:
    """Closed until ``threshold`` failures in a row; open for ``reset_s`` seconds; then half open.

    A half-open circuit admits exactly one call: success closes the circuit, failure opens it again,
    and an ``UNKNOWN`` outcome (the caller cancelled) makes the next call the trial. An outcome counts
    only in the period in which its call was admitted, so late failures of earlier calls cannot reopen
    a circuit that has closed since.

    For use from one event loop; no lock is needed because nothing here awaits.
    """

    def __init__(self, threshold: int, reset_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._threshold = threshold
        self._reset_s = reset_s
        self._clock = clock
        self.failures = 0
        """Consecutive failures in the current period."""
        self._opened_at: float | None = None
        self._trial_under_way = False
        self._period = 0

    @property
    def state(self) -> CircuitState:
        """Current state; ``half_open`` also while a trial is running."""
        if self._opened_at is None:
            return "closed"
        return "open" if self.opens_in_s > 0 else "half_open"

    @property
    def opens_in_s(self) -> float:
        """Seconds until a trial is due; 0 when one is due or the circuit is closed."""
        if self._opened_at is None:
            return 0.0
        return max(0.0, self._opened_at + self._reset_s - self._clock())

    @property
    def would_admit(self) -> bool:
        """Whether a call may be made now."""
        state = self.state
        return state == "closed" or (state == "half_open" and not self._trial_under_way)

    def admit(self) -> Permit:
        """Return a permit for one call, which must be allowed now (``would_admit``)."""
        period, is_trial = self._period, self._opened_at is not None
        self._trial_under_way = is_trial
        return Permit(lambda outcome: self._settle(outcome, period), is_trial=is_trial)

    def _settle(self, outcome: Outcome, period: int) -> None:
        if period != self._period:
            return
        was_trial, self._trial_under_way = self._trial_under_way, False
        if outcome is Outcome.SUCCESS:
            self.failures = 0
            if was_trial:
                self._opened_at = None
                self._period += 1
        elif outcome is Outcome.FAILURE:
            self.failures += 1
            if was_trial or self.failures >= self._threshold:
                self._opened_at = self._clock()
                self._period += 1
