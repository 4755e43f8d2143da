"""Prometheus metrics of the backend; docs/operations.md lists them."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from service_kit.observability import tracing
from service_kit.observability.metrics import SECONDS, RequestMetrics

from adapters.ports.models import Reason
from adapters.ports.reports import ReportKind

LOST_REPORTS = ("full", "busy", "unavailable")
"""No room in the table; too many at once; the database did not take them."""
CIRCUIT_VALUES = {"closed": 0, "half_open": 1, "open": 2}


class Metrics:
    """The metrics of one app, in a registry of its own. Used from one event loop.

    Args:
        version: of the backend.
        shared: folder through which several processes of one port count together.

    """

    def __init__(self, version: str = "", shared: Path | None = None) -> None:
        if shared is not None:
            shared.mkdir(parents=True, exist_ok=True)
        self._shared = shared
        self._registry = registry = CollectorRegistry()
        self._circuits: Callable[[], Mapping[str, str]] = dict
        self.requests = RequestMetrics("backend", registry)
        count, time = partial(Counter, registry=registry), partial(Histogram, buckets=SECONDS, registry=registry)
        # Of several processes, the latest value of any is shown: each has its own circuits.
        state = partial(Gauge, registry=registry, multiprocess_mode="mostrecent")
        self._retrieval = time("backend_retrieval_seconds", "Embedding and search of a question")
        self._answers = count("backend_answers", "Answers by provider and mode", ("served_by", "mode"))
        self._fallbacks = count("backend_fallbacks", "Steps to the next best provider", ("reason",))
        self._reports = count("backend_reports", "Reports about the dictionary", ("kind",))
        self._lost_reports = count("backend_reports_lost", "Reports that were not stored", ("reason",))
        self._calls = time("backend_llm_call_seconds", "Whole answers of language models", ("served_by",))
        self._circuit = state("backend_circuit_state", "0 closed, 1 half open, 2 open", ("url",))
        state("backend_build_info", "Always 1", ("version",)).labels(version).set(1)
        # 0 and not absent before the first event, so that its increase is visible.
        for reason in get_args(Reason):
            self._fallbacks.labels(reason)
        for served_by in ("llm_service", "local"):
            self._calls.labels(served_by)
        for kind in get_args(ReportKind):
            self._reports.labels(kind)
        for reason in LOST_REPORTS:
            self._lost_reports.labels(reason)

    def retrieved(self, seconds: float) -> None:
        """Count a search of the store, with the question's embedding."""
        self._retrieval.observe(seconds)

    def answered(self, served_by: str, mode: str) -> None:
        """Count an answered question."""
        self._answers.labels(served_by, mode).inc()

    def model_answered(self, served_by: str, seconds: float) -> None:
        """Count a whole answer of a language model."""
        self._calls.labels(served_by).observe(seconds)

    def fell_back(self, reason: Reason) -> None:
        """Count a step to the next best provider, and note it on the current span."""
        self._fallbacks.labels(reason).inc()
        tracing.add_event("fallback", {"reason": reason})

    def reported(self, kind: str) -> None:
        """Count a report."""
        self._reports.labels(kind).inc()

    def lost_reports(self, reason: str, reports: int) -> None:
        """Count reports that were not stored."""
        self._lost_reports.labels(reason).inc(reports)

    def watch_circuits(self, circuits: Callable[[], Mapping[str, str]]) -> None:
        """Set the function that returns the state of each address of the LLM service; called at every scrape."""
        self._circuits = circuits

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        for url, state in self._circuits().items():
            self._circuit.labels(url).set(CIRCUIT_VALUES[state])
        if self._shared is None:
            return generate_latest(self._registry)
        everything = CollectorRegistry()
        MultiProcessCollector(everything, str(self._shared))  # type: ignore[no-untyped-call]
        return generate_latest(everything)
