"""Events as Prometheus's counters and histograms; docs/operations.md lists them."""

from collections.abc import Callable, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from observability.events import Answered, Event, FellBack, ModelAnswered, RequestOver, Retrieved

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
REASONS = (
    "connect",
    "timeout",
    "protocol",
    "http_5xx",
    "overloaded",
    "loading",
    "draining",
    "rate_limited",
    "circuit_open",
    "disabled",
    "local_unavailable",
    "local_failed",
    "refused",
)
OTHER = "other"
CIRCUIT_VALUES = {"closed": 0, "half_open": 1, "open": 2}

# A time beside every count would double the scrape; whoever wants it has Prometheus's own.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """An ``Observe`` that counts. Used from one event loop; each app has a registry of its own.

    Args:
        version: the backend's.
        circuits: says at every scrape how the circuit of each of the LLM service's addresses is.
        shared: the folder through which several processes of one port count together.

    """

    def __init__(
        self, version: str, circuits: Callable[[], Mapping[str, str]] = dict, shared: Path | None = None
    ) -> None:
        if shared is not None:
            shared.mkdir(parents=True, exist_ok=True)
        self._shared = shared
        self._registry = registry = CollectorRegistry()
        self._circuits = circuits
        self._requests = Counter(
            "backend_http_requests_total",
            "Requests that are over",
            ("route", "method", "status"),
            registry=registry,
        )
        self._request_seconds = Histogram(
            "backend_http_request_duration_seconds",
            "From a request's arrival to its last byte",
            ("route",),
            buckets=SECONDS,
            registry=registry,
        )
        self._retrieval = Histogram(
            "backend_retrieval_seconds", "Vector and search of a question", buckets=SECONDS, registry=registry
        )
        self._answers = Counter(
            "backend_answers_total", "Answers by who gave them and how", ("served_by", "mode"), registry=registry
        )
        self._fallbacks = Counter(
            "backend_fallbacks_total", "Steps down to the next best", ("reason",), registry=registry
        )
        self._calls = Histogram(
            "backend_llm_call_seconds",
            "Whole answers of language models",
            ("served_by",),
            buckets=SECONDS,
            registry=registry,
        )
        # Each process has circuits of its own: of several, the one that looked last is shown.
        self._circuit = Gauge(
            "backend_circuit_state",
            "0 closed, 1 half open, 2 open",
            ("url",),
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        build = Gauge("backend_build_info", "Always 1", ("version",), registry=registry, multiprocess_mode="mostrecent")
        build.labels(version).set(1)
        # From the first scrape on, so that an increase from nothing can be seen.
        for reason in (*REASONS, OTHER):
            self._fallbacks.labels(reason)
        for served_by in ("llm_service", "local"):
            self._calls.labels(served_by)

    def __call__(self, event: Event) -> None:
        """Count an event."""
        match event:
            case RequestOver():
                method = event.method if event.method in METHODS else OTHER
                self._requests.labels(event.route, method, str(event.status)).inc()
                self._request_seconds.labels(event.route).observe(event.seconds)
            case Retrieved():
                self._retrieval.observe(event.seconds)
            case Answered():
                self._answers.labels(event.served_by, event.mode).inc()
            case ModelAnswered():
                self._calls.labels(event.served_by).observe(event.seconds)
            case FellBack():
                self._fallbacks.labels(event.reason if event.reason in REASONS else OTHER).inc()

    def watch_circuits(self, circuits: Callable[[], Mapping[str, str]]) -> None:
        """Ask ``circuits`` from now on."""
        self._circuits = circuits

    def exposition(self) -> bytes:
        """Return everything in Prometheus's text format."""
        for url, state in self._circuits().items():
            self._circuit.labels(url).set(CIRCUIT_VALUES[state])
        if self._shared is None:
            return generate_latest(self._registry)
        everybody = CollectorRegistry()
        MultiProcessCollector(everybody, str(self._shared))  # type: ignore[no-untyped-call]
        return generate_latest(everybody)
