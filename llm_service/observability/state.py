"""Metrics read from the service at each scrape."""

import itertools
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from config.settings import Settings
from services.llm_service import LLMService
from services.results import Load

REQUEST_COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
TEXT_COUNTS = (*REQUEST_COUNTS, 512, 1024)


class StateCollector(Collector):
    """The queue, the caches and the workers of a service."""

    def __init__(self, service: LLMService, config: Settings) -> None:
        self._service = service
        self._config = config

    def collect(self) -> Iterable[Metric]:
        """Yield the current metrics."""
        load = self._service.load()
        yield GaugeMetricFamily("llm_requests_running", "Generation requests with a place", load.running)
        yield GaugeMetricFamily("llm_requests_waiting", "Generation requests that wait for one", load.waiting)
        cache = GaugeMetricFamily("llm_cache_bytes", "Memory that a cache's entries take", labels=["cache"])
        for name, size in load.cache_bytes.items():
            cache.add_metric([name], size)
        yield cache
        yield from _workers(load)
        yield self._build()

    def _build(self) -> Metric:
        info = self._service.health().generator_info
        build = GaugeMetricFamily("llm_build_info", "Always 1", labels=["version", "model", "backend"])
        backend = info.backend if info else self._config.llm_backend
        build.add_metric([self._config.app_version, self._service.model_name, backend], 1)
        return build


def _workers(load: Load) -> Iterator[Metric]:
    restarts = CounterMetricFamily("llm_worker_restarts", "Times a worker was replaced", labels=["worker"])
    ready = GaugeMetricFamily("llm_worker_ready", "Whether a worker's model is loaded", labels=["worker"])
    for name, worker in load.workers.items():
        restarts.add_metric([name], worker.restarts)
        ready.add_metric([name], int(worker.ready))
    yield restarts
    yield ready
    generator, embedder = load.workers["generator"], load.workers["embedder"]
    yield _histogram(
        "llm_batch_size",
        "Requests that one step computed together",
        generator.batch_sizes,
        REQUEST_COUNTS,
    )
    yield _histogram(
        "llm_embedding_batch_texts",
        "Texts that one step embedded together",
        embedder.batch_sizes,
        TEXT_COUNTS,
    )
    usage = GaugeMetricFamily("llm_kv_cache_usage_ratio", "Share of the KV cache that requests hold, 0 to 1")
    if generator.kv_cache_usage is not None:
        usage.add_metric([], generator.kv_cache_usage)
    yield usage


def _histogram(name: str, what: str, counts: Mapping[int, int], bounds: tuple[int, ...]) -> Metric:
    """Return a histogram of ``counts``: how often each value occurred."""
    within = (sum(count for value, count in counts.items() if low < value <= high) for low, high in _ranges(bounds))
    cumulative = itertools.accumulate(within)
    names = [*(f"{bound}.0" for bound in bounds), "+Inf"]
    total = sum(value * count for value, count in counts.items())
    return HistogramMetricFamily(name, what, buckets=list(zip(names, cumulative, strict=True)), sum_value=total)


def _ranges(bounds: tuple[int, ...]) -> Iterator[tuple[float, float]]:
    return itertools.pairwise((float("-inf"), *bounds, float("inf")))
