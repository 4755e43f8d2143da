"""Prometheus metrics that both apps have; an app adds its own to the same registry."""

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from service_kit.observability.records import RequestRecord

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"

# A creation time beside each count would double the scrape.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]


class RequestMetrics:
    """Requests by route, method and status, their duration, and requests by API key.

    Args:
        prefix: first part of every name.
        registry: where the metrics are registered.

    """

    def __init__(self, prefix: str, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            f"{prefix}_http_requests", "Finished requests", ("route", "method", "status"), registry=registry
        )
        self._duration = Histogram(
            f"{prefix}_http_request_duration_seconds",
            "From arrival to last byte",
            ("route",),
            buckets=SECONDS,
            registry=registry,
        )
        self._by_key = Counter(f"{prefix}_key_requests", "Finished requests by API key", ("key",), registry=registry)

    def count(self, record: RequestRecord) -> None:
        """Count a finished request."""
        method = record.method if record.method in METHODS else OTHER
        self._requests.labels(record.route, method, str(record.status)).inc()
        self._duration.labels(record.route).observe(record.seconds)
        if record.key is not None:
            self._by_key.labels(record.key).inc()
