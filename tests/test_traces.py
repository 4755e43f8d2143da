"""One question, one trace and one id: from the page's API to the language model, each app a process of its own."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from app_process import ALONE, BORA_WORD, AppProcess, running, start_backend, start_llm
from conftest import wait_until
from free_ports import free_port
from trace_collector import Collector, Span, running_collector

pytestmark = pytest.mark.e2e
KEYS = {"LLM_SERVICE_API_KEY": "key-of-the-service", "BACKEND_API_KEY": "key-of-the-backend"}
BEARER = {"Authorization": f"Bearer {KEYS['BACKEND_API_KEY']}"}

# Without an entry of its own, so that a vector is made.
QUESTION = "¿Cómo se dice perro grande en bora?"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with running_collector() as running:
        yield running


@pytest.fixture(scope="module")
def llm(collector: Collector) -> Iterator[AppProcess]:
    service = start_llm(free_port(), **KEYS, **collector.environment(), LOG_LEVEL="DEBUG")
    with running(service):
        yield service


@pytest.fixture(scope="module")
def backend(llm: AppProcess, collector: Collector) -> Iterator[AppProcess]:
    app = start_backend(llm.url, **ALONE, **KEYS, **collector.environment())
    with running(app):
        yield app


def ask(backend: AppProcess, collector: Collector, **fields: Any) -> tuple[str, list[Span]]:
    """Ask in a new trace; return the answer's body and the trace when it is whole."""
    trace_id = secrets.token_hex(16)
    headers = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01", **BEARER}
    response = backend.client.post("/api/rag/query", json={"query": QUESTION, **fields}, headers=headers)
    assert response.status_code == 200, response.text

    def is_whole() -> bool:
        """Each app exports its own spans: a call that succeeded has the LLM service's span below it."""
        spans = collector.trace(trace_id)
        ids, parents = {span.id for span in spans}, {span.parent_id for span in spans}
        answered = {
            span.id
            for span in spans
            if span.kind == "client" and span.name.startswith(("chat ", "embeddings ")) and not span.failed
        }
        asked = any(span.name == "POST /api/rag/query" for span in spans)
        return asked and answered <= parents <= ids | {"00f067aa0ba902b7"}

    wait_until(is_whole, "the trace is whole")
    return response.text, collector.trace(trace_id)


def way_up(spans: list[Span], span: Span) -> list[tuple[str, str, str]]:
    by_id = {each.id: each for each in spans}
    way = [span]
    while (parent := by_id.get(way[-1].parent_id)) is not None:
        way.append(parent)
    return [(each.service, each.kind, each.name) for each in way]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_question_is_one_trace(backend: AppProcess, collector: Collector, *, stream: bool) -> None:
    _, spans = ask(backend, collector, stream=stream)
    model = ALONE["LLM_MODEL"]
    server = ("backend", "server", "POST /api/rag/query")
    (answer,) = [span for span in spans if (span.service, span.name) == ("llm-service", "chat fake")]
    (vectors,) = [span for span in spans if (span.service, span.name) == ("llm-service", "embeddings fake")]
    searches = [span for span in spans if span.name == "SELECT documents"]
    assert way_up(spans, answer) == [
        ("llm-service", "internal", "chat fake"),
        ("llm-service", "server", "POST /api/llm/generate"),
        ("backend", "client", f"chat {model}"),
        server,
    ]
    assert way_up(spans, vectors) == [
        ("llm-service", "internal", "embeddings fake"),
        ("llm-service", "server", "POST /api/llm/embed"),
        ("backend", "client", "embeddings sentence-transformers/all-MiniLM-L6-v2"),
        ("backend", "internal", "retrieval"),
        server,
    ]
    # Entries by words, then by words and meaning; texts.
    assert [way_up(spans, search)[1:] for search in searches] == [[("backend", "internal", "retrieval"), server]] * 3
    assert len(spans) == 12
    assert not any(span.failed for span in spans)


def test_the_backends_spans_say_who_answered_and_how(
    backend: AppProcess, llm: AppProcess, collector: Collector
) -> None:
    _, spans = ask(backend, collector)
    named = {(span.service, span.kind, span.name.split()[0]): span.attributes for span in spans}
    server = named["backend", "server", "POST"]
    assert server["http.route"] == server["url.path"] == "/api/rag/query"
    assert (server["http.request.method"], server["http.response.status_code"]) == ("POST", 200)
    assert (server["app.served_by"], server["app.degraded"], server["app.model"]) == ("llm_service", False, "fake")
    request_ids = {attributes["app.request_id"] for attributes in named.values() if "app.request_id" in attributes}
    assert request_ids == {server["app.request_id"]}
    retrievals = [span.attributes for span in spans if span.name == "retrieval"]
    assert {each["gen_ai.operation.name"] for each in retrievals} == {"retrieval"}
    # Of the entries, and of the texts, of which there are none.
    found = {each["app.retrieval.mode"]: each["app.retrieval.results"] for each in retrievals}
    assert found == {"words_and_meaning": found["words_and_meaning"], "words": 0}
    searches = [span.attributes for span in spans if span.name == "SELECT documents"]
    assert {each["db.system.name"] for each in searches} == {"postgresql"}
    assert found["words_and_meaning"] in {each["db.response.returned_rows"] for each in searches} - {0}
    call, done = named["backend", "client", "chat"], named["llm-service", "internal", "chat"]
    assert (call["gen_ai.provider.name"], call["gen_ai.operation.name"]) == ("llm_service", "chat")
    assert (call["server.address"], call["server.port"]) == ("127.0.0.1", llm.port)
    assert call["gen_ai.request.model"] == ALONE["LLM_MODEL"]
    for name in (
        *("gen_ai.response.model", "gen_ai.response.finish_reasons"),
        *("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"),
        *("gen_ai.request.max_tokens", "gen_ai.request.temperature", "gen_ai.request.top_p"),
    ):
        assert call[name] == done[name], name


def test_a_search_is_traced_without_its_words(backend: AppProcess, collector: Collector) -> None:
    trace_id = secrets.token_hex(16)
    headers = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01", **BEARER}
    assert backend.client.get("/api/rag/search?q=perro+grande", headers=headers).status_code == 200
    assert backend.client.delete("/api/rag/documents/perro-1", headers=headers).status_code == 404
    wait_until(lambda: sum(span.kind == "server" for span in collector.trace(trace_id)) >= 3, "the spans are there")
    names = {span.name for span in collector.trace(trace_id) if span.service == "backend" and span.kind == "server"}
    assert names == {"GET /api/rag/search", "DELETE /api/rag/documents/{document_id:path}"}


def test_no_text_and_no_key_leaves_with_the_traces(backend: AppProcess, collector: Collector) -> None:
    answers = "".join(ask(backend, collector, stream=stream)[0] for stream in (False, True))
    assert BORA_WORD in answers
    for text in ("perro", BORA_WORD, "dice", *KEYS.values()):
        assert text.encode() not in collector.raw, text


def test_log_lines_of_both_carry_the_trace(backend: AppProcess, llm: AppProcess, collector: Collector) -> None:
    _, spans = ask(backend, collector)
    trace = f'"trace_id": "{spans[0].trace_id}"'
    wait_until(lambda: trace in backend.log(), "the backend's log has the trace")
    wait_until(lambda: trace in llm.log(), "the LLM service's log has the trace")


def about(app: AppProcess, request_id: str) -> list[dict[str, Any]]:
    """Return what the log has about a request; every line of it is JSON. The last line may be under way."""
    records: list[dict[str, Any]] = [json.loads(line) for line in app.log().split("\n")[:-1]]
    return [record for record in records if record.get("request_id") == request_id]


@pytest.mark.parametrize("sent", ["pregunta-7", None], ids=["of-the-caller", "of-the-backend"])
def test_a_question_has_one_id_in_every_log(backend: AppProcess, llm: AppProcess, sent: str | None) -> None:
    headers = {**BEARER, **({"X-Request-ID": sent} if sent else {})}
    # Another question each time: a vector that is kept would not need the embedder.
    question = f"¿Cómo se dice {'casa' if sent else 'agua'} grande en bora?"
    response = backend.client.post("/api/rag/query", json={"query": question}, headers=headers)
    assert response.status_code == 200
    request_id = response.headers["X-Request-ID"]
    assert sent in (None, request_id)
    assert response.json()["request_id"] == request_id

    def routes(app: AppProcess) -> set[str]:
        return {record["route"] for record in about(app, request_id) if record["event"] == "request"}

    wait_until(lambda: routes(backend) == {"/api/rag/query"}, "the backend has its line")
    wait_until(lambda: routes(llm) == {"/api/llm/embed", "/api/llm/generate"}, "the LLM service has its lines")
    assert {record["process"] for record in about(llm, request_id)} == {"http", "generator", "embedder"}
    assert question not in backend.log()


def test_a_service_that_is_gone_shows_as_failed_tries_and_a_fallback(
    backend: AppProcess, llm: AppProcess, collector: Collector
) -> None:
    llm.kill()
    text, spans = ask(backend, collector)
    assert '"served_by":"none"' in text.replace(" ", "")
    (server,) = [span for span in spans if span.kind == "server"]
    assert (server.attributes["app.served_by"], server.attributes["app.degraded"]) == ("none", True)
    assert server.events["fallback"]["reason"] in (
        "connect",
        "protocol",
        "http_5xx",
        "circuit_open",
        "local_unavailable",
    )
    tries = [span for span in spans if span.name == f"chat {ALONE['LLM_MODEL']}" and span.kind == "client"]
    vectors = [span for span in spans if span.name.startswith("embeddings ") and span.kind == "client"]
    assert {span.attributes["error.type"] for span in tries + vectors} <= {"connect", "protocol"}
    assert all(span.failed for span in tries + vectors)
    assert tries + vectors
    (local,) = [
        span for span in spans if span.attributes.get("gen_ai.provider.name") == "local" and "chat" in span.name
    ]
    assert (local.kind, local.parent_id, local.failed) == ("internal", server.id, True)
