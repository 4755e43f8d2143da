"""Retry decisions for one call: whether, where and after what delay."""

import asyncio
import random

from adapters.llm_service.circuit import Permit
from adapters.llm_service.endpoints import Endpoint, Endpoints
from adapters.llm_service.faults import ServiceFault
from adapters.ports.models import RateLimited, TechnicalError

_FIRST_BACKOFF_S = 0.2
_MAX_RETRIES = 2
_MAX_WAIT_S = 5.0
"""Longest ``Retry-After`` that is waited for; beyond it another provider may answer sooner."""


class RetryBudget:
    """A token balance: every call adds ``ratio`` tokens, every retry takes one.

    The balance is capped at ``reserve`` and starts there, so isolated failures are always retried.
    Over many calls that all fail there are at most ``1 + ratio + reserve / calls`` attempts per call:
    1.15 over 200 calls with the default values. The method is Finagle's ``RetryBudget``.
    """

    def __init__(self, ratio: float, reserve: float) -> None:
        self._ratio = ratio
        self._reserve = reserve
        self._balance = reserve

    def deposit(self) -> None:
        """Record a call."""
        self._balance = min(self._reserve, self._balance + self._ratio)

    def withdraw(self) -> bool:
        """Take one retry; return whether one was left."""
        if self._balance < 1.0:
            return False
        self._balance -= 1.0
        return True


class Attempts:
    """Attempts of one call, limited by the deadline, the circuits and the retry budget."""

    def __init__(self, timeout_s: float, endpoints: Endpoints, budget: RetryBudget, kind: str) -> None:
        self.deadline = asyncio.get_running_loop().time() + timeout_s
        """In the event loop's time, in seconds."""
        self._endpoints = endpoints
        self._budget = budget
        self._kind = kind
        self._failed: list[Endpoint] = []
        self._retries = 0
        budget.deposit()

    def next(self) -> tuple[Endpoint, Permit]:
        """Return the address for the next attempt. Raises ``ServiceFault`` when every circuit is open."""
        return self._endpoints.choose(self._failed, self._kind)

    async def after(self, fault: TechnicalError, endpoint: Endpoint) -> None:
        """Wait until the next attempt is due; raise ``fault`` when there is none."""
        delay_s = self._delay_s(fault, endpoint) if self._retries < _MAX_RETRIES else None
        longest_s = min(_MAX_WAIT_S, self.deadline - asyncio.get_running_loop().time())
        if delay_s is None or delay_s > longest_s or not self._budget.withdraw():
            raise fault
        self._retries += 1
        await asyncio.sleep(delay_s)

    def _delay_s(self, fault: TechnicalError, endpoint: Endpoint) -> float | None:
        """Return the seconds to wait before the next attempt, or ``None`` when there is none."""
        if isinstance(fault, RateLimited):
            return fault.retry_after_s
        self._failed.append(endpoint)
        if self._endpoints.offers(self._failed):
            return 0.0
        if not isinstance(fault, ServiceFault) or not fault.anywhere or not self._endpoints.offers(()):
            return None
        if fault.retry_after_s is not None:
            return fault.retry_after_s
        return _FIRST_BACKOFF_S * 2.0**self._retries * (0.5 + random.random() / 2)  # noqa: S311
