"""What ``/metrics`` says after this and that has happened."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from config.settings import PROJECT_ROOT
from observability.metrics import Metrics
from tests.backend_process import wait_until
from tests.backend_server import LocalStub, ready_backend
from tests.fake_llm_service import FakeLLMService

# No entry of its own: its vector is needed too.
DOG = {"query": "¿Cómo se dice perro grande en bora?"}
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def service() -> Iterator[FakeLLMService]:
    """One that a test may stop."""
    fake = FakeLLMService().start()
    yield fake
    fake.stop()


@pytest.fixture
def backend(database_url: str, service: FakeLLMService, local: LocalStub) -> Iterator[httpx.Client]:
    with ready_backend(
        local,
        database_url=database_url,
        llm_service_url=service.url.replace("http://", "http://nadie:contrasena@") + ",http://127.0.0.1:9",
        llm_service_timeout=5,
        rag_wording="always",
        llm_service_breaker_failures=1,
        llm_service_breaker_reset=600,
        llm_service_retry_ratio=1,
    ) as client:
        yield client


def parsed(text: str) -> Samples:
    families = text_string_to_metric_families(text)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for each in families
        for sample in each.samples
    }


class Scrape:
    """The metrics at one moment."""

    def __init__(self, client: httpx.Client) -> None:
        response = client.get("/metrics")
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
        self.samples = parsed(response.text)

    def of(self, name: str, **labels: str) -> float:
        return self.samples.get((name, tuple(sorted(labels.items()))), 0.0)

    def by(self, name: str, label: str) -> dict[str, float]:
        """Return what is not 0."""
        return {
            dict(labels)[label]: value for (found, labels), value in self.samples.items() if found == name and value
        }


def fallbacks(client: httpx.Client) -> dict[str, float]:
    return Scrape(client).by("backend_fallbacks_total", "reason")


def more(after: dict[str, float], before: dict[str, float]) -> dict[str, float]:
    return {name: value - before.get(name, 0) for name, value in after.items() if value != before.get(name)}


def ask(client: httpx.Client, *, stream: bool = False) -> None:
    assert client.post("/api/rag/query", json={**DOG, "stream": stream}).status_code == 200


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_answer_is_counted_with_its_times(backend: httpx.Client, *, stream: bool) -> None:
    before = Scrape(backend)
    ask(backend, stream=stream)
    count, answers = "backend_answers_total", {"served_by": "llm_service", "mode": "generated"}
    # An answer may be counted after its client has all of it.
    wait_until(lambda: Scrape(backend).of(count, **answers) > before.of(count, **answers))
    after = Scrape(backend)

    def added(name: str, **labels: str) -> float:
        return after.of(name, **labels) - before.of(name, **labels)

    assert added(count, **answers) == 1
    assert added("backend_retrieval_seconds_count") == 2  # the dictionary, then the texts
    assert added("backend_llm_call_seconds_count", served_by="llm_service") == 1
    assert added("backend_llm_call_seconds_count", served_by="local") == 0
    assert added("backend_llm_call_seconds_sum", served_by="llm_service") > 0


def test_requests_are_counted_by_route_and_never_by_path(backend: httpx.Client) -> None:
    ask(backend)
    for number in range(5):
        backend.get(f"/nobody/{number}")
        backend.delete(f"/api/rag/documents/{number}")
        backend.request(f"ODD{number}", "/livez")
    backend.get("/app.js")
    count = "backend_http_requests_total"
    # A request is counted when it is over, which may be after its client has everything.
    wait_until(lambda: Scrape(backend).of(count, route="page", method="GET", status="200"))
    found = Scrape(backend)
    assert found.of(count, route="/api/rag/query", method="POST", status="200") == 1
    assert found.of(count, route="unmatched", method="GET", status="404") == 5
    assert found.of(count, route="/api/rag/documents/{document_id:path}", method="DELETE", status="404") == 5
    assert found.of(count, route="/livez", method="other", status="405") == 5
    assert found.of(count, route="page", method="GET", status="200") == 1
    assert found.of("backend_http_request_duration_seconds_count", route="/api/rag/query") == 1
    assert set(found.by(count, "route")) <= {
        *(
            "/api/rag/query",
            "/api/rag/documents/{document_id:path}",
            "/livez",
            "/readyz",
            "/metrics",
            "page",
            "unmatched",
        )
    }


def test_each_step_down_counts_once_with_its_own_reason(
    backend: httpx.Client, service: FakeLLMService, local: LocalStub
) -> None:
    ask(backend)
    before = fallbacks(backend)
    service.mode = "busy_long"
    ask(backend)
    # Vector: the service is overloaded, the local model has none. Answer: the service again; the local model has it.
    # (The other address refuses connections: its circuit is open since the first question.)
    first = fallbacks(backend)
    assert more(first, before) == {"overloaded": 2, "local_unavailable": 1}
    local.answer = None
    ask(backend)
    again = fallbacks(backend)
    assert more(again, first) == {"overloaded": 2, "local_unavailable": 2}
    assert Scrape(backend).of("backend_answers_total", served_by="local", mode="generated") == 1
    assert Scrape(backend).of("backend_answers_total", served_by="none", mode="extractive") == 1


def test_circuits_are_shown_by_address_without_credentials(backend: httpx.Client, service: FakeLLMService) -> None:
    for _ in range(4):
        ask(backend)
    state = "backend_circuit_state"
    scrape = Scrape(backend)
    assert scrape.of(state, url="http://127.0.0.1:9") == 2
    assert (state, (("url", service.url),)) in scrape.samples
    assert scrape.of(state, url=service.url) == 0
    service.stop()
    ask(backend)
    text = backend.get("/metrics").text
    assert f'backend_circuit_state{{url="{service.url}"}} 2.0' in text
    assert "contrasena" not in text


def test_the_documentation_lists_what_there_is_and_nothing_else() -> None:
    section = (
        Path(PROJECT_ROOT / "docs/operations.md")
        .read_text(encoding="utf-8")
        .partition("## Backend: logs and metrics")[2]
    )
    documented = set(re.findall(r"`(backend_\w+)(?:\{([\w,]+)\})?`", section.partition("\n## ")[0]))
    metrics = Metrics("1")
    families = text_string_to_metric_families(metrics.exposition().decode())
    exposed = {each.name + ("_total" if each.type == "counter" else "") for each in families}
    assert {name for name, _ in documented} == exposed
