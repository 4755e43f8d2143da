"""Retry decisions for one call: whether, where and after what delay."""

import asyncio
import random
from collections.abc import Callable

from adapters.base import RateLimited, TechnicalError
from adapters.circuit import Permit
from adapters.deadline import Deadline
from adapters.llm_service.config import ServiceConfig
from adapters.llm_service.endpoints import Endpoint, Endpoints
from adapters.llm_service.faults import ServiceFault
from adapters.llm_service.retry_budget import RetryBudget

_FIRST_BACKOFF_S = 0.2


class Attempts:
    """Attempts of one call, limited by the deadline, the circuits and the retry budget."""

    def __init__(
        self,
        config: ServiceConfig,
        endpoints: Endpoints,
        budget: RetryBudget,
        kind: str = "",
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.deadline = Deadline(config.timeout_s)
        self._config = config
        self._endpoints = endpoints
        self._budget = budget
        self._kind = kind
        self._jitter = jitter
        self._failed: list[Endpoint] = []
        self._retries = 0
        budget.deposit()

    def next(self) -> tuple[Endpoint, Permit]:
        """Return the address for the next attempt; raise ``CircuitOpen``."""
        return self._endpoints.choose(self._failed, self._kind)

    async def after(self, fault: TechnicalError, endpoint: Endpoint) -> None:
        """Wait until the next attempt is due; raise ``fault`` when there is none."""
        delay_s = self._delay_s(fault, endpoint)
        if delay_s is None or not self.deadline.allows(delay_s) or not self._budget.withdraw():
            raise fault
        self._retries += 1
        await asyncio.sleep(delay_s)

    def _delay_s(self, fault: TechnicalError, endpoint: Endpoint) -> float | None:
        """Return the seconds to wait before the next attempt, or ``None`` when there is none."""
        if self._retries >= self._config.max_retries:
            return None
        if isinstance(fault, RateLimited):
            return self._bearable(fault.retry_after_s)
        if not isinstance(fault, ServiceFault) or fault.again == "never":
            return None
        self._failed.append(endpoint)
        if self._endpoints.offers(self._failed):
            return 0.0
        if fault.again != "anywhere" or not self._endpoints.offers(()):
            return None
        backoff_s = _FIRST_BACKOFF_S * 2**self._retries * (0.5 + self._jitter() / 2)
        return self._bearable(backoff_s if fault.retry_after_s is None else fault.retry_after_s)

    def _bearable(self, delay_s: float | None) -> float | None:
        return None if delay_s is None or delay_s > self._config.max_retry_wait_s else delay_s
