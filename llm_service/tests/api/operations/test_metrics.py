"""``GET /metrics`` as Prometheus reads it: right numbers, whichever process they come from, and few names."""

import concurrent.futures
import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.api.operations.log_lines import send_raw
from tests.api.service_process import ServiceProcess, eventually, question

LABELS = {
    "llm_http_requests": {"route", "method", "status"},
    "llm_http_request_duration_seconds": {"route"},
    "llm_time_to_first_token_seconds": set(),
    "llm_inter_token_seconds": set(),
    "llm_queue_seconds": set(),
    "llm_prompt_tokens": set(),
    "llm_generated_tokens": set(),
    "llm_answers_rejected": set(),
    "llm_requests_running": set(),
    "llm_requests_waiting": set(),
    "llm_requests_refused": {"reason"},
    "llm_batch_size": set(),
    "llm_kv_cache_usage_ratio": set(),
    "llm_cache_hits": {"cache"},
    "llm_cache_misses": {"cache"},
    "llm_cache_bytes": {"cache"},
    "llm_worker_restarts": {"worker"},
    "llm_worker_ready": {"worker"},
    "llm_embedded_texts": set(),
    "llm_ranked_documents": set(),
    "llm_embedding_batch_texts": set(),
    "llm_build_info": {"version", "model", "backend"},
    "llm_key_requests": {"key"},
    "llm_key_tokens": {"key"},
}


@pytest.fixture
def service(mortal: ServiceProcess) -> ServiceProcess:
    mortal.wait_for("/readyz")
    return mortal


def value(service: ServiceProcess, name: str, **labels: str) -> float:
    """Return a sample; 0 when there is none, as Prometheus takes it."""
    text = service.client.get("/metrics").text
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return next((sample.value for sample in samples if sample.name == name and sample.labels == labels), 0.0)


def requests(service: ServiceProcess, route: str, status: int = 200, method: str = "POST") -> float:
    return value(service, "llm_http_requests_total", route=route, method=method, status=str(status))


def becomes(read: Callable[[], Any], expected: Any) -> None:
    """Wait until ``read()`` returns what is expected: a request is counted after its caller has the whole answer."""
    with contextlib.suppress(AssertionError):
        eventually(lambda: read() == expected, "")
    assert read() == expected


def test_all_metrics_are_there_with_their_labels_and_no_others(service: ServiceProcess) -> None:
    service.generate("uno dos", stream=True)
    eventually(lambda: value(service, "llm_batch_size_count") > 0, "the worker has told of its steps")
    response = service.client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(response.text)}
    assert families.keys() == LABELS.keys()
    for name, family in families.items():
        if not family.samples:
            assert LABELS[name] == {"key"}, name  # this service has no keys
            continue
        assert {label for sample in family.samples for label in sample.labels} - {"le"} == LABELS[name]
    health = service.health()
    build = families["llm_build_info"].samples[0].labels
    assert build == {"version": health["version"], "model": health["model"], "backend": health["backend"]}


def test_requests_are_counted_by_route_method_and_status(service: ServiceProcess) -> None:
    before = requests(service, "/api/llm/generate"), requests(service, "/api/llm/generate", 422)
    service.generate("uno dos")
    service.client.post("/api/llm/generate", json={})
    becomes(lambda: requests(service, "/api/llm/generate"), before[0] + 1)
    becomes(lambda: requests(service, "/api/llm/generate", 422), before[1] + 1)
    assert value(service, "llm_http_request_duration_seconds_count", route="/api/llm/generate") >= 2


def test_whatever_clients_ask_for_there_are_no_more_names(service: ServiceProcess) -> None:
    for number in range(20):
        service.client.get(f"/nobody/{number}")
        service.client.get(f"/v1/models/{number}")
        send_raw(service, b"GET /x%%0d%%0a%d HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % number)
    for method in ("PROPFIND", "REPORT", "MKCOL", "PURGE"):  # those that the server lets through
        service.client.request(method, "/version")
    becomes(lambda: requests(service, "unmatched", 404, "GET") >= 40, expected=True)
    becomes(lambda: requests(service, "/v1/models/{model:path}", 404, "GET") >= 20, expected=True)
    becomes(lambda: requests(service, "/version", 405, "other"), 4)
    assert "nobody" not in service.client.get("/metrics").text
    assert "PROPFIND" not in service.client.get("/metrics").text


def test_tokens_are_counted_once_and_cached_answers_are_not(service: ServiceProcess) -> None:
    def counted() -> tuple[float, ...]:
        names = ("llm_prompt_tokens_total", "llm_generated_tokens_total", "llm_time_to_first_token_seconds_count")
        caches = ("llm_cache_hits_total", "llm_cache_misses_total")
        return (
            *(value(service, name) for name in names),
            *(value(service, name, cache="response") for name in caches),
        )

    before = counted()
    service.generate("nunca antes contado [[words:7]]", temperature=0)
    service.generate("nunca antes contado [[words:7]]", temperature=0)
    becomes(lambda: [after - first for first, after in zip(before, counted(), strict=True)], [4, 7, 1, 1, 1])
    assert value(service, "llm_cache_bytes", cache="response") > 0


def test_streams_are_timed_piece_by_piece_as_their_readers_get_them(service: ServiceProcess) -> None:
    pieces, total = value(service, "llm_inter_token_seconds_count"), value(service, "llm_inter_token_seconds_sum")
    first = value(service, "llm_time_to_first_token_seconds_sum")
    body = question("uno [[words:5]] [[slow:60]]", stream=True)
    with service.client.stream("POST", "/api/llm/generate", json=body) as response:
        seen = sum('"delta"' in line for line in response.iter_lines())
    assert seen == 5
    becomes(lambda: value(service, "llm_inter_token_seconds_count"), pieces + seen - 1)
    # A step sleeps 60 ms: no reader can have had its pieces faster.
    assert value(service, "llm_inter_token_seconds_sum") - total >= 0.06 * (seen - 1) - 0.03
    assert value(service, "llm_time_to_first_token_seconds_sum") - first >= 0.05


def test_the_queue_and_who_is_sent_away_are_told(narrow: ServiceProcess) -> None:
    def counted() -> tuple[float, ...]:
        refused = value(narrow, "llm_requests_refused_total", reason="overloaded")
        return refused, value(narrow, "llm_queue_seconds_count")

    before, waited = counted(), value(narrow, "llm_queue_seconds_sum")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(narrow.generate, f"p{at} [[words:20]] [[slow:100]]") for at in range(2)]
        eventually(lambda: value(narrow, "llm_requests_waiting") == 1, "one waits")
        assert value(narrow, "llm_requests_running") == 1
        assert narrow.generate("demasiado").status_code == 503
        assert [answer.result().status_code for answer in asked] == [200, 200]
    becomes(counted, (before[0] + 1, before[1] + 2))
    becomes(lambda: value(narrow, "llm_requests_waiting"), 0)
    becomes(lambda: value(narrow, "llm_requests_running"), 0)
    assert value(narrow, "llm_queue_seconds_sum") - waited >= 0.5


def test_what_the_workers_see_comes_over_their_pipes(service: ServiceProcess) -> None:
    steps, together = value(service, "llm_batch_size_count"), value(service, "llm_batch_size_sum")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        body = "[[words:60]] [[slow:50]]"
        asked = [pool.submit(service.generate, f"p{at} {body}", max_new_tokens=60) for at in range(4)]
        eventually(lambda: value(service, "llm_kv_cache_usage_ratio") > 0, "the KV cache is used")
        for answer in asked:
            answer.result()
    eventually(lambda: value(service, "llm_kv_cache_usage_ratio") == 0, "it is free again")
    steps = value(service, "llm_batch_size_count") - steps
    # 4 answers of 60 words and the step after their last.
    assert value(service, "llm_batch_size_sum") - together >= 4 * 60
    assert steps < 4 * 60
    batches, texts = value(service, "llm_embedding_batch_texts_count"), value(service, "llm_embedded_texts_total")
    service.client.post("/api/llm/embed", json={"texts": [f"nunca antes {at}" for at in range(9)]})
    becomes(lambda: value(service, "llm_embedded_texts_total"), texts + 9)
    eventually(lambda: value(service, "llm_embedding_batch_texts_count") == batches + 1, "the batch is counted")


def test_restarts_are_told_and_nothing_counted_is_lost(service: ServiceProcess) -> None:
    def restarts(worker: str) -> float:
        return value(service, "llm_worker_restarts_total", worker=worker)

    service.generate("uno dos tres")
    eventually(lambda: value(service, "llm_batch_size_count") > 0, "the steps are counted")
    eventually(lambda: value(service, "llm_generated_tokens_total") > 0, "the request is counted")
    steps, tokens = value(service, "llm_batch_size_count"), value(service, "llm_generated_tokens_total")
    before = restarts("generator"), restarts("embedder")
    assert value(service, "llm_worker_ready", worker="generator") == 1
    service.workers()["generator"].kill()
    eventually(lambda: value(service, "llm_worker_ready", worker="generator") == 0, "it is away")
    assert value(service, "llm_worker_ready", worker="embedder") == 1
    eventually(lambda: value(service, "llm_worker_ready", worker="generator") == 1, "it is back")
    assert (restarts("generator"), restarts("embedder")) == (before[0] + 1, before[1])
    assert value(service, "llm_batch_size_count") >= steps
    assert value(service, "llm_generated_tokens_total") == tokens
