"""Metrics read from the service at each scrape."""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from config.settings import Settings
from services.llm_service import LLMService

REQUEST_COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
TEXT_COUNTS = (*REQUEST_COUNTS, 512, 1024)


class StateCollector(Collector):
    """The queue, the caches, the workers and the counts of a service."""

    def __init__(self, service: LLMService, config: Settings) -> None:
        self._service = service
        self._config = config

    def collect(self) -> Iterable[Metric]:
        """Yield the current metrics."""
        service, workers, counts = self._service, self._service.workers, self._service.counts
        for name, what, count in (
            ("llm_prompt_tokens", "Tokens of finished requests' prompts", counts.prompt_tokens),
            ("llm_generated_tokens", "Tokens of finished answers", counts.generated_tokens),
            ("llm_embedded_texts", "Texts whose vectors were computed", counts.embedded_texts),
            ("llm_ranked_documents", "Documents whose scores were computed", counts.ranked_documents),
            ("llm_answers_rejected", "Answers that ended and failed validation", counts.rejected_answers),
        ):
            yield CounterMetricFamily(name, what, count)
        yield _by_label(CounterMetricFamily, "llm_cache_hits", "Answers or vectors found", "cache", counts.hits)
        yield _by_label(CounterMetricFamily, "llm_cache_misses", "Answers or vectors not found", "cache", counts.misses)
        yield GaugeMetricFamily("llm_requests_running", "Generation requests with a place", service.places.running)
        yield GaugeMetricFamily("llm_requests_waiting", "Generation requests that wait for one", service.places.waiting)
        yield _by_label(GaugeMetricFamily, "llm_cache_bytes", "Memory that a cache's entries take", "cache",
                        service.cache_bytes)  # fmt: skip
        yield _by_label(CounterMetricFamily, "llm_worker_restarts", "Times a worker was replaced", "worker",
                        {role: worker.restarts for role, worker in workers.items()})  # fmt: skip
        yield _by_label(GaugeMetricFamily, "llm_worker_ready", "Whether a worker's model is loaded", "worker",
                        {role: worker.state == "ready" for role, worker in workers.items()})  # fmt: skip
        yield _histogram(
            "llm_batch_size",
            "Requests that one step computed together",
            workers["generator"].batch_sizes,
            REQUEST_COUNTS,
        )
        yield _histogram(
            "llm_embedding_batch_texts",
            "Texts that one step embedded together",
            workers["embedder"].batch_sizes,
            TEXT_COUNTS,
        )
        usage = GaugeMetricFamily("llm_kv_cache_usage_ratio", "Share of the KV cache that requests hold, 0 to 1")
        if (share := workers["generator"].kv_cache_usage) is not None:
            usage.add_metric([], share)
        yield usage
        info = service.info("generator")
        build = GaugeMetricFamily("llm_build_info", "Always 1", labels=["version", "model", "backend"])
        backend = info.backend if info else self._config.llm_backend
        build.add_metric([self._config.app_version, service.model_name, backend], 1)
        yield build


def _by_label(
    kind: type[CounterMetricFamily | GaugeMetricFamily], name: str, what: str, label: str, values: Mapping[Any, int]
) -> Metric:
    family = kind(name, what, labels=[label])
    for key, value in values.items():
        family.add_metric([key], int(value))
    return family


def _histogram(name: str, what: str, counts: Mapping[int, int], bounds: tuple[int, ...]) -> Metric:
    """Return a histogram of ``counts``: how often each value occurred."""
    edges = itertools.pairwise((float("-inf"), *bounds, float("inf")))
    within = (sum(count for value, count in counts.items() if low < value <= high) for low, high in edges)
    names = [*(f"{bound}.0" for bound in bounds), "+Inf"]
    total = sum(value * count for value, count in counts.items())
    buckets = list(zip(names, itertools.accumulate(within), strict=True))
    return HistogramMetricFamily(name, what, buckets=buckets, sum_value=total)
