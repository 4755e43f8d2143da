"""Retry budget: limits retries so that they cannot multiply the load on a failing service."""


class RetryBudget:
    """A token balance: every call adds ``ratio`` tokens, every retry takes one.

    The balance is capped at ``reserve`` and starts there, so isolated failures are always retried.
    Over many calls that all fail there are at most ``1 + ratio + reserve / calls`` attempts per call:
    1.15 over 200 calls with the default values. The method is Finagle's ``RetryBudget``.
    """

    def __init__(self, ratio: float = 0.1, reserve: float = 10.0) -> None:
        self._ratio = ratio
        self._reserve = reserve
        self._balance = reserve

    @property
    def balance(self) -> float:
        """Remaining retries."""
        return self._balance

    def deposit(self) -> None:
        """Record a call."""
        self._balance = min(self._reserve, self._balance + self._ratio)

    def withdraw(self) -> bool:
        """Take one retry; return whether one was left."""
        if self._balance < 1.0:
            return False
        self._balance -= 1.0
        return True
