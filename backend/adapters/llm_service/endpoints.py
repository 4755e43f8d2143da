"""Addresses of the LLM service: health, readiness, load, and selection among them."""

import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

from adapters.llm_service.circuit import Circuit, Outcome, Permit
from adapters.llm_service.faults import NOT_NOW, TRIPPING, PoolExhausted, ServiceFault
from adapters.ports.models import TechnicalError

logger = logging.getLogger(__name__)
_MAX_PAUSE_S = 10.0
_DEFAULT_PAUSE_S = 1.0


class Endpoint:
    """One address with its circuit, its running calls and its ``Retry-After`` pause."""

    def __init__(self, url: str, circuit: Circuit, on_outage: Callable[[], None]) -> None:
        self.url = url
        parts = urlsplit(url)
        self.name = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        """The URL without credentials, for logs and metrics."""
        self.circuit = circuit
        self.under_way = 0
        self._on_outage = on_outage
        self._not_before = float("-inf")

    @property
    def is_ready(self) -> bool:
        """Whether no ``Retry-After`` pause is in effect."""
        return time.monotonic() >= self._not_before

    @contextmanager
    def call(self, permit: Permit) -> Iterator[None]:
        """Track one call: its load while it runs, and its outcome.

        A cancelled call or a closed iterator does not count for or against the service.
        """
        self.under_way += 1
        try:
            yield
        except TechnicalError as fault:
            self._note(permit, fault)
            raise
        except Exception:
            # A refusal (4xx) or a defect of this client: the service answered.
            permit.settle(Outcome.SUCCESS)
            raise
        else:
            permit.settle(Outcome.SUCCESS)
        finally:
            self.under_way -= 1
            permit.settle(Outcome.UNKNOWN)

    def _note(self, permit: Permit, fault: TechnicalError) -> None:
        before = self.circuit.state
        permit.settle(self._outcome(permit, fault))
        if before == "closed" and self.circuit.state == "open":
            self._on_outage()
        if fault.reason in NOT_NOW.values() and not isinstance(fault, PoolExhausted):
            pause_s = _DEFAULT_PAUSE_S if fault.retry_after_s is None else fault.retry_after_s
            self._not_before = time.monotonic() + min(pause_s, _MAX_PAUSE_S)
        about = {"url": self.name, "reason": fault.reason, "detail": str(fault)}
        logger.warning("llm service fault", extra={**about, "circuit": f"{before} to {self.circuit.state}"})

    @staticmethod
    def _outcome(permit: Permit, fault: TechnicalError) -> Outcome:
        if isinstance(fault, PoolExhausted):
            return Outcome.UNKNOWN
        if fault.reason in TRIPPING:
            return Outcome.FAILURE
        # A "not ready" answer keeps a circuit open when it is the trial's; it never opens a closed one.
        return Outcome.FAILURE if permit.is_trial and fault.reason in ("loading", "draining") else Outcome.SUCCESS


class Endpoints:
    """Selects an address for each call.

    Skips addresses with an open circuit. An address that is due for a trial gets the next call, once.
    Then addresses without a ``Retry-After`` pause are preferred, then those with the fewest running
    calls. Ties are broken round-robin per kind of call: each question makes one call of each of two
    kinds, so a shared rotation would send all calls of one kind to the same address.
    """

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._endpoints = tuple(endpoints)
        self._turns: dict[str, int] = {}

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(self._endpoints)

    def choose(self, avoid: Collection[Endpoint] = (), kind: str = "") -> tuple[Endpoint, Permit]:
        """Return an address and a permit to call it; one of ``avoid`` only when there is no other.

        Raises ``ServiceFault`` when every circuit is open.
        """
        count, turn = len(self._endpoints), self._turns.get(kind, 0)
        in_turn = [self._endpoints[(turn + step) % count] for step in range(count)]
        admitting = [endpoint for endpoint in in_turn if endpoint.circuit.would_admit]
        if not admitting:
            raise ServiceFault(
                "the LLM service failed repeatedly and is left alone for a moment",
                reason="circuit_open",
                retry_after_s=min(endpoint.circuit.opens_in_s for endpoint in self._endpoints),
            )
        endpoint = min(admitting, key=lambda each: self._rank(each, avoid))
        self._turns[kind] = (self._endpoints.index(endpoint) + 1) % count
        return endpoint, endpoint.circuit.admit()

    def offers(self, avoid: Collection[Endpoint]) -> bool:
        """Return whether an address outside ``avoid`` admits a call."""
        return any(endpoint.circuit.would_admit for endpoint in self._endpoints if endpoint not in avoid)

    @staticmethod
    def _rank(endpoint: Endpoint, avoid: Collection[Endpoint]) -> tuple[bool, bool, bool, int]:
        is_trial = endpoint.circuit.state == "half_open"
        return endpoint in avoid, not is_trial, not endpoint.is_ready, endpoint.under_way
