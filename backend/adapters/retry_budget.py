"""How many second tries are allowed, so that retrying cannot multiply the load on what is in trouble."""


class RetryBudget:
    """A purse: every call puts in ``ratio`` of a retry, every retry takes out one.

    The purse holds ``reserve`` retries at most and begins full, so single mishaps are always retried.
    Over many calls that all fail there are at most ``1 + ratio + reserve / calls`` tries a call: 1.15
    over 200 with the values given here. The method is Finagle's ``RetryBudget``.
    """

    def __init__(self, ratio: float = 0.1, reserve: float = 10.0) -> None:
        self._ratio = ratio
        self._reserve = reserve
        self._balance = reserve

    @property
    def balance(self) -> float:
        """Retries that are left."""
        return self._balance

    def deposit(self) -> None:
        """Note a call."""
        self._balance = min(self._reserve, self._balance + self._ratio)

    def withdraw(self) -> bool:
        """Take out a retry; tell whether there was one."""
        if self._balance < 1.0:
            return False
        self._balance -= 1.0
        return True
