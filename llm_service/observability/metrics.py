"""The service's numbers, for Prometheus (docs/operations.md lists them).

The HTTP process counts what it sees; what the workers see comes over their pipes and is read when somebody
asks (``observability.state``). So there is one registry in one process, whatever happens to the workers.
"""

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from config.settings import Settings
from observability.request_record import RequestRecord
from observability.state import StateCollector
from services.events import CacheAsked, Event, Generated, TextsEmbedded, Waited
from services.llm_service import LLMService

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120)
TOKEN_SECONDS = SECONDS[: SECONDS.index(2.5) + 1]
REFUSALS = ("overloaded", "draining", "model_loading", "model_unavailable")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """Counts what happens in one service."""

    def __init__(self, service: LLMService, config: Settings) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "llm_http_requests", "Requests that are over", ["route", "method", "status"], registry=registry
        )
        self._duration = _seconds("llm_http_request_duration_seconds", "Arrival to last byte", registry, ["route"])
        self._first_token = _seconds(
            "llm_time_to_first_token_seconds", "Arrival to the first text of an answer that was computed", registry
        )
        self._gaps = Histogram(
            "llm_inter_token_seconds",
            "Between two pieces of a stream, as its reader gets them",
            buckets=TOKEN_SECONDS,
            registry=registry,
        )
        self._queue = _seconds("llm_queue_seconds", "A generation request's wait for a place", registry)
        self._prompt_tokens = Counter("llm_prompt_tokens", "Tokens of finished requests' prompts", registry=registry)
        self._generated_tokens = Counter("llm_generated_tokens", "Tokens of finished answers", registry=registry)
        self._refused = Counter("llm_requests_refused", "Requests sent away", ["reason"], registry=registry)
        self._hits = Counter("llm_cache_hits", "Answers or vectors found", ["cache"], registry=registry)
        self._misses = Counter("llm_cache_misses", "Answers or vectors not found", ["cache"], registry=registry)
        self._texts = Counter("llm_embedded_texts", "Texts whose vectors were computed", registry=registry)
        # What has not happened yet is 0, not absent: a rate begins with the first one.
        for reason in REFUSALS:
            self._refused.labels(reason)
        for cache in ("response", "embedding"):
            self._hits.labels(cache)
            self._misses.labels(cache)
        registry.register(StateCollector(service, config))
        service.events.subscribe(self._on_event)

    def request_over(self, record: RequestRecord, *, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request that has ended; ``route`` is one of the application's, not what the client sent."""
        self._requests.labels(route, method if method in METHODS else "other", str(status)).inc()
        self._duration.labels(route).observe(seconds)
        if record.error in REFUSALS:
            self._refused.labels(record.error).inc()
        if record.ttft_s is not None and record.cache != "hit":
            self._first_token.observe(record.ttft_s)
        for gap in record.gaps:
            self._gaps.observe(gap)

    def exposition(self) -> bytes:
        """Return everything in Prometheus's text format, ``CONTENT_TYPE``."""
        return generate_latest(self._registry)

    def _on_event(self, event: Event) -> None:
        match event:
            case Waited(seconds):
                self._queue.observe(seconds)
            case Generated(prompt_tokens, completion_tokens):
                self._prompt_tokens.inc(prompt_tokens)
                self._generated_tokens.inc(completion_tokens)
            case CacheAsked(cache, hits, misses):
                self._hits.labels(cache).inc(hits)
                self._misses.labels(cache).inc(misses)
            case TextsEmbedded(count):
                self._texts.inc(count)


def _seconds(name: str, what: str, registry: CollectorRegistry, labels: list[str] | None = None) -> Histogram:
    return Histogram(name, what, labels or [], buckets=SECONDS, registry=registry)
