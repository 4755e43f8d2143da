"""A minimal circuit breaker: stop asking a neighbour that keeps failing, ask again after a short while."""

import time
from collections.abc import Callable


class Circuit:
    """Closed until ``threshold`` failures in a row; then open for ``reset_s`` seconds, after which one
    caller at a time may try. The first success closes it.

    Used from one event loop only, hence no lock.
    """

    def __init__(self, threshold: int = 3, reset_s: float = 3.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._threshold = threshold
        self._reset_s = reset_s
        self._clock = clock
        self._failures = 0
        self._next_trial = 0.0

    @property
    def is_open(self) -> bool:
        """Whether callers are being turned away right now."""
        return self._failures >= self._threshold and self._clock() < self._next_trial

    def allow(self) -> bool:
        """Tell whether a call may go out; past the reset time, this call is the trial."""
        if self._failures < self._threshold:
            return True
        if self._clock() < self._next_trial:
            return False
        # The next trial is due one reset time from now, also when this one is never reported back.
        self._next_trial = self._clock() + self._reset_s
        return True

    def record_success(self) -> None:
        """Close the circuit."""
        self._failures = 0

    def record_failure(self) -> None:
        """Count a failure; the threshold reached, turn callers away for the reset time."""
        self._failures += 1
        if self._failures >= self._threshold:
            self._next_trial = self._clock() + self._reset_s
