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
Family = type[CounterMetricFamily | GaugeMetricFamily]


class StateCollector(Collector):
    """The queue, the caches, the workers and the counts of a service."""

    def __init__(self, service: LLMService, config: Settings) -> None:
        self._service = service
        self._config = config

    def collect(self) -> Iterable[Metric]:
        """Yield the current metrics."""
        service, counts, workers = self._service, self._service.counts, self._service.workers
        restarts = {role: worker.restarts for role, worker in workers.items()}
        ready = {role: int(worker.state == "ready") for role, worker in workers.items()}
        gauge, counter = GaugeMetricFamily, CounterMetricFamily
        single: tuple[tuple[Family, str, str, int], ...] = (
            (gauge, "llm_requests_running", "Generation requests with a place", service.places.running),
            (gauge, "llm_requests_waiting", "Generation requests that wait for one", service.places.waiting),
            (counter, "llm_prompt_tokens", "Tokens of finished requests' prompts", counts.prompt_tokens),
            (counter, "llm_generated_tokens", "Tokens of finished answers", counts.generated_tokens),
            (counter, "llm_embedded_texts", "Texts whose vectors were computed", counts.embedded_texts),
            (counter, "llm_ranked_documents", "Documents whose scores were computed", counts.ranked_documents),
            (counter, "llm_answers_rejected", "Answers that ended and failed validation", counts.rejected_answers),
        )
        labelled: tuple[tuple[Family, str, str, str, Mapping[Any, int]], ...] = (
            (counter, "llm_cache_hits", "Answers or vectors found", "cache", counts.hits),
            (counter, "llm_cache_misses", "Answers or vectors not found", "cache", counts.misses),
            (gauge, "llm_cache_bytes", "Memory that a cache's entries take", "cache", service.cache_bytes),
            (counter, "llm_worker_restarts", "Times a worker was replaced", "worker", restarts),
            (gauge, "llm_worker_ready", "Whether a worker's model is loaded", "worker", ready),
        )
        for kind, name, what, value in single:
            yield kind(name, what, value)
        for kind, name, what, label, values in labelled:
            family = kind(name, what, labels=[label])
            for key, value in values.items():
                family.add_metric([key], value)
            yield family
        batches, texts = workers["generator"].batch_sizes, workers["embedder"].batch_sizes
        yield _histogram("llm_batch_size", "Requests that one step computed together", batches, REQUEST_COUNTS)
        yield _histogram("llm_embedding_batch_texts", "Texts that one step embedded together", texts, TEXT_COUNTS)
        usage = GaugeMetricFamily("llm_kv_cache_usage_ratio", "Share of the KV cache that requests hold, 0 to 1")
        if (share := workers["generator"].kv_cache_usage) is not None:
            usage.add_metric([], share)
        yield usage
        info = service.info("generator")
        build = GaugeMetricFamily("llm_build_info", "Always 1", labels=["version", "model", "backend"])
        backend = info.backend if info else self._config.llm_backend
        build.add_metric([self._config.app_version, service.model_name, backend], 1)
        yield build


def _histogram(name: str, what: str, counts: Mapping[int, int], bounds: tuple[int, ...]) -> Metric:
    """Return a histogram of ``counts``: how often each value occurred."""
    edges = itertools.pairwise((float("-inf"), *bounds, float("inf")))
    within = (sum(count for value, count in counts.items() if low < value <= high) for low, high in edges)
    names = [*(f"{bound}.0" for bound in bounds), "+Inf"]
    total = sum(value * count for value, count in counts.items())
    buckets = list(zip(names, itertools.accumulate(within), strict=True))
    return HistogramMetricFamily(name, what, buckets=buckets, sum_value=total)
