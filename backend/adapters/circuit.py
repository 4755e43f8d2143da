"""A circuit breaker: stop asking a neighbour that keeps failing, then ask again with one call at a time."""

import time
from collections.abc import Callable
from enum import Enum
from typing import Literal

CircuitState = Literal["closed", "open", "half_open"]


class Outcome(Enum):
    """How an admitted call went, as far as the neighbour's health is concerned."""

    SUCCESS = "success"
    FAILURE = "failure"
    UNKNOWN = "unknown"
    """The call says nothing of the neighbour: its caller left, or it was never sent."""


class Permit:
    """The right to make one call; settled once with how the call went."""

    def __init__(self, settle: Callable[[Outcome], None], *, is_trial: bool) -> None:
        self._settle = settle
        self._settled = False
        self.is_trial = is_trial
        """Whether this is the one call that finds out if an open circuit can be closed."""

    def settle(self, outcome: Outcome) -> None:
        """Tell how the call went; only the first time counts."""
        if not self._settled:
            self._settled = True
            self._settle(outcome)

    def settle_trial(self) -> None:
        """Tell that a trial goes well while it goes on; of other calls, the end counts."""
        if self.is_trial:
            self.settle(Outcome.SUCCESS)


class Circuit:
    """Closed until ``threshold`` failures in a row; open for ``reset_s`` seconds; then half open.

    Half open, exactly one call is admitted: its success closes the circuit, its failure opens it
    again, and when it ends without saying anything (its caller left) the next call takes its place.
    A call is counted only in the period in which it was admitted: the late failures of calls that
    were under way when the circuit opened do not open it again after it has closed.

    Used from one event loop only, hence no lock: nothing here awaits.
    """

    def __init__(self, threshold: int = 3, reset_s: float = 3.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._threshold = threshold
        self._reset_s = reset_s
        self._clock = clock
        self._failures = 0
        self._opened_at: float | None = None
        self._trial_under_way = False
        self._period = 0

    @property
    def failures(self) -> int:
        """Failures in a row of the present period."""
        return self._failures

    @property
    def state(self) -> CircuitState:
        """What would happen to a call now: let through, turned away, or made the trial if there is none."""
        if self._opened_at is None:
            return "closed"
        return "open" if self.opens_in_s > 0 else "half_open"

    @property
    def opens_in_s(self) -> float:
        """Seconds until a trial is due; 0 where one is due or none is needed."""
        if self._opened_at is None:
            return 0.0
        return max(0.0, self._opened_at + self._reset_s - self._clock())

    @property
    def would_admit(self) -> bool:
        """Whether ``admit`` would return a permit now."""
        state = self.state
        return state == "closed" or (state == "half_open" and not self._trial_under_way)

    def admit(self) -> Permit | None:
        """Return the right to make a call, or nothing where the caller is turned away."""
        if not self.would_admit:
            return None
        period, is_trial = self._period, self._opened_at is not None
        self._trial_under_way = is_trial
        return Permit(lambda outcome: self._settle(outcome, period), is_trial=is_trial)

    def _settle(self, outcome: Outcome, period: int) -> None:
        if period != self._period:
            return
        was_trial, self._trial_under_way = self._trial_under_way, False
        if outcome is Outcome.SUCCESS:
            self._failures = 0
            if was_trial:
                self._opened_at = None
                self._period += 1
        elif outcome is Outcome.FAILURE:
            self._failures += 1
            if was_trial or self._failures >= self._threshold:
                self._opened_at = self._clock()
                self._period += 1
