"""Traces as a collector gets them: from services that run as processes of their own."""

import json
import secrets
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.operations.log_lines import access_line, json_lines
from tests.api.service_process import ServiceProcess, eventually, question, running_service
from trace_collector import ENVIRONMENT, Collector, Span, running_collector

KEY = "a-key-for-nobody"
SAID = ("acantilado", "buganvilla", "cormorán")
"""Words of prompts; the fake engine's answers repeat them."""
SERVER = {
    "http.request.method": "POST",
    "http.route": "/api/llm/generate",
    "url.path": "/api/llm/generate",
    "url.scheme": "http",
    "http.response.status_code": 200,
}


class Traced:
    """A service whose spans arrive at a collector, and a caller that has a trace of its own."""

    def __init__(self, service: ServiceProcess, collector: Collector) -> None:
        self.service, self.collector = service, collector
        self.span_id = secrets.token_hex(8)

    def post(self, path: str, body: dict[str, Any], **headers: str) -> tuple[Any, list[Span]]:
        """Return the answer's text and the spans of its trace, the server's own first."""
        trace_id = secrets.token_hex(16)
        headers = {"traceparent": f"00-{trace_id}-{self.span_id}-01", **headers}
        response = self.service.client.post(path, json=body, headers=headers)
        return response, self.spans(trace_id)

    def spans(self, trace_id: str, roots: int = 1) -> list[Span]:
        """Wait until the server's spans of a trace are there: they come last."""
        found = self.collector.trace
        eventually(lambda: [s.kind for s in found(trace_id)].count("server") == roots, "the trace is whole")
        return sorted(found(trace_id), key=lambda span: span.kind != "server")


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with running_collector() as running:
        yield running


@pytest.fixture(scope="module")
def traced(collector: Collector) -> Iterator[Traced]:
    with running_service(ready=True, LLM_SERVICE_API_KEY=KEY, **collector.environment()) as service:
        service.client.headers["Authorization"] = f"Bearer {KEY}"
        yield Traced(service, collector)


def words(**fields: Any) -> dict[str, Any]:
    return question(" ".join(SAID), **fields)


def test_an_answer_is_a_server_span_in_the_callers_trace_with_a_chat_span(traced: Traced) -> None:
    body = words(temperature=0.5, top_p=0.8, seed=7, max_new_tokens=3)
    response, (server, chat) = traced.post("/api/llm/generate", body, **{"X-Request-ID": "pregunta-1"})
    assert server.name == "POST /api/llm/generate"
    assert server.parent_id == traced.span_id
    assert server.attributes.items() >= {**SERVER, "app.request_id": "pregunta-1", "app.key": "default"}.items()
    assert server.attributes["app.tokens_out"] == response.json()["usage"]["completion_tokens"]
    assert (chat.name, chat.kind, chat.parent_id, chat.failed) == ("chat fake", "internal", server.id, False)
    answer = response.json()
    assert chat.attributes.pop("app.queue_ms") >= 0
    assert chat.attributes.pop("app.ttft_ms") > 0
    assert chat.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "fake",
        "gen_ai.request.model": "fake",
        "gen_ai.request.max_tokens": 3,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.8,
        "gen_ai.request.seed": 7,
        "gen_ai.request.stream": False,
        "gen_ai.output.type": "text",
        "gen_ai.response.model": answer["model"],
        "gen_ai.response.finish_reasons": [answer["finish_reason"]],
        "gen_ai.usage.input_tokens": answer["usage"]["prompt_tokens"],
        "gen_ai.usage.output_tokens": answer["usage"]["completion_tokens"],
        "app.cache": "miss",
    }


def test_nothing_of_what_was_said_and_no_key_leaves_with_a_trace(traced: Traced, collector: Collector) -> None:
    traced.post("/api/llm/generate", words(seed=8))
    traced.post("/api/llm/generate", words(seed=9, stream=True))
    traced.post("/api/llm/generate", {"messages": [{"role": "villain", "content": " ".join(SAID)}]})
    traced.post("/api/llm/embed", {"texts": list(SAID)})
    traced.post("/api/llm/embed?q=cormor%C3%A1n&w=buganvilla", {"texts": [*SAID, 7]})
    assert "llm-service" in collector.raw.decode("utf-8", "replace")
    for word in (*SAID, KEY, "cormor%C3"):
        assert word.encode() not in collector.raw


def test_a_stream_tells_when_its_first_piece_came(traced: Traced) -> None:
    _, (server, chat) = traced.post("/api/llm/generate", words(stream=True))
    assert chat.parent_id == server.id
    assert chat.attributes["gen_ai.request.stream"] is True
    assert chat.attributes["gen_ai.response.time_to_first_chunk"] > 0
    assert "app.cancelled" not in chat.attributes


def test_an_answer_from_the_cache_says_so(traced: Traced) -> None:
    traced.post("/api/llm/generate", words(temperature=0))
    _, (_, chat) = traced.post("/api/llm/generate", words(temperature=0))
    assert chat.attributes["app.cache"] == "hit"


def test_each_choice_of_openais_api_is_a_chat_span(traced: Traced) -> None:
    body = {"model": "fake", "messages": words()["messages"], "n": 2}
    response, (server, *chats) = traced.post("/v1/chat/completions", body)
    assert response.status_code == 200
    assert [(chat.name, chat.parent_id) for chat in chats] == [("chat fake", server.id)] * 2


@pytest.mark.parametrize(
    ("path", "body"),
    [("/api/llm/embed", {"texts": ["uno", "dos"]}), ("/v1/embeddings", {"model": "fake", "input": ["uno", "dos"]})],
)
def test_vectors_are_an_embeddings_span(traced: Traced, path: str, body: dict[str, Any]) -> None:
    _, (server, span) = traced.post(path, body)
    assert (span.name, span.kind, span.parent_id) == ("embeddings fake", "internal", server.id)
    assert span.attributes == {
        "gen_ai.operation.name": "embeddings",
        "gen_ai.provider.name": "fake",
        "gen_ai.request.model": "fake",
        "gen_ai.response.model": "fake",
        "gen_ai.usage.input_tokens": 2,
        "gen_ai.embeddings.dimension.count": 384,
        "app.texts": 2,
    }


def test_a_fault_is_told_by_its_name(traced: Traced) -> None:
    response, (server, chat) = traced.post("/api/llm/generate", words(), **{"X-Request-Timeout-Ms": "1"})
    assert response.status_code == 504
    assert server.failed
    assert chat.failed
    assert server.attributes["error.type"] == chat.attributes["error.type"] == "deadline_exceeded"
    assert (server.events, chat.events) == ({}, {})


def test_a_refused_request_is_no_fault_of_the_service(traced: Traced) -> None:
    response, (server,) = traced.post("/api/llm/embed", {"texts": []})
    assert response.status_code == server.attributes["http.response.status_code"] == 400
    assert not server.failed


def test_the_spans_of_a_caller_that_leaves_end_with_499(traced: Traced) -> None:
    # Longer than it takes anybody to leave.
    endless = question("uno [[words:1500]] [[slow:50]]", stream=True, max_new_tokens=1500)
    trace_id, body = secrets.token_hex(16), json.dumps(endless)
    with socket.create_connection(("127.0.0.1", traced.service.port)) as caller:
        head = f"POST /api/llm/generate HTTP/1.1\r\nHost: x\r\ntraceparent: 00-{trace_id}-{traced.span_id}-01\r\n"
        head += f"Authorization: Bearer {KEY}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        caller.sendall((head + body).encode())
        assert caller.recv(100)
    server, chat = traced.spans(trace_id)
    assert (server.attributes["http.response.status_code"], server.failed) == (499, False)
    assert (chat.attributes["app.cancelled"], chat.failed) == (True, False)


@pytest.mark.parametrize("sent", ["00-0-0-01", "00-" + "0" * 32 + "-" + "1" * 16 + "-01", "ñ", "x" * 9000, "01"])
def test_a_traceparent_that_is_none_begins_a_new_trace(traced: Traced, sent: str) -> None:
    request_id = secrets.token_hex(8)
    headers = [(b"traceparent", sent.encode()), (b"X-Request-ID", request_id.encode())]
    response = traced.service.client.post("/api/llm/generate", json=words(), headers=headers)
    assert response.status_code == 200

    def mine() -> list[Span]:
        return [span for span in traced.collector.spans if span.attributes.get("app.request_id") == request_id]

    eventually(mine, "the request's span has arrived")
    assert [span.parent_id for span in mine()] == [""]


def test_a_caller_that_was_not_sampled_is_not_recorded(traced: Traced, collector: Collector) -> None:
    trace_id = secrets.token_hex(16)
    headers = {"traceparent": f"00-{trace_id}-{traced.span_id}-00"}
    assert traced.service.client.post("/api/llm/generate", json=words(), headers=headers).status_code == 200
    traced.post("/api/llm/generate", words())
    assert collector.trace(trace_id) == []


def test_what_machines_ask_all_day_is_not_traced(traced: Traced, collector: Collector) -> None:
    for path in ("/livez", "/readyz", "/metrics", "/api/llm/health", "/version", "/"):
        assert traced.service.client.get(path).status_code == 200
    traced.post("/api/llm/generate", words())
    assert {span.attributes.get("http.request.method", "POST") for span in collector.spans} == {"POST"}


def test_log_lines_carry_the_trace(traced: Traced) -> None:
    response, (server, _) = traced.post("/api/llm/generate", words())
    request_id = response.headers["X-Request-ID"]
    access_line(traced.service, request_id)
    lines = [line for line in json_lines(traced.service) if line.get("request_id") == request_id]
    http = [line for line in lines if line["process"] == "http"]
    assert http
    assert {(line["trace_id"], line["span_id"]) for line in http} == {(server.trace_id, server.id)}


def test_a_trace_goes_on_at_the_upstream(traced: Traced, collector: Collector, tmp_path: Path) -> None:
    """The service in front has all its settings from a file."""
    settings = collector.environment() | {
        "LLM_UPSTREAM_URL": f"http://127.0.0.1:{traced.service.port}",
        "LLM_UPSTREAM_API_KEY": KEY,
        "OTEL_SERVICE_NAME": "in front",
    }
    file = tmp_path / "some.env"
    file.write_text("\n".join(f"{name}={value}" for name, value in settings.items()), encoding="utf-8")
    with running_service(ENV_FILES=str(file), LLM_BACKEND="openai") as front:
        trace_id = secrets.token_hex(16)
        headers = {"traceparent": f"00-{trace_id}-{traced.span_id}-01", "tracestate": "vendor=1"}
        assert front.client.post("/api/llm/generate", json=words(seed=21), headers=headers).status_code == 200
        spans = traced.spans(trace_id, roots=2)
    by_id = {span.id: span for span in spans}
    (inner,) = [span for span in spans if span.kind == "internal"]
    way = [inner]
    while (parent := by_id.get(way[-1].parent_id)) is not None:
        way.append(parent)
    assert [(span.service, span.kind, span.name) for span in way] == [
        ("llm-service", "internal", "chat fake"),
        ("llm-service", "server", "POST /v1/chat/completions"),
        ("in front", "client", "chat fake"),
        ("in front", "server", "POST /api/llm/generate"),
    ]
    asked = way[2].attributes
    assert (asked["gen_ai.provider.name"], asked["server.address"]) == ("openai", "127.0.0.1")
    assert asked["server.port"] == traced.service.port


# --- collectors that are away, and the end of the service ------------------------------------------


def test_a_collector_that_is_away_costs_spans_and_one_line() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        settings = ENVIRONMENT | {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{nobody.getsockname()[1]}",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "0.2",
            "OTEL_BSP_MAX_QUEUE_SIZE": "8",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4",
        }
        with running_service(ready=True, **settings) as service:
            assert {service.generate("hola", stream=True).status_code for _ in range(40)} == {200}
            eventually(lambda: "traces are not delivered" in service.log(), "it says so")
            assert {service.generate("hola").status_code for _ in range(40)} == {200}
            lines = json_lines(service)
    about = [line for line in lines if line["logger"] == "service_kit.observability.otlp"]
    assert [line["level"] for line in about] == ["warning"]
    assert "export" in about[0]["detail"]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM ends a process on Windows at once")
def test_a_collector_that_hangs_keeps_nobody_waiting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        settings = {**ENVIRONMENT, **where, "OTEL_EXPORTER_OTLP_TIMEOUT": "600"}
        with running_service(ready=True, **settings) as service:
            assert {service.generate("hola").status_code for _ in range(20)} == {200}
            service.process.send_signal(signal.SIGTERM)
            service.process.wait(60)
            assert "the last spans were dropped" in service.log()


@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM ends a process on Windows at once")
def test_the_spans_of_the_last_requests_are_sent_when_the_service_ends() -> None:
    with running_collector() as collector:
        waiting = collector.environment() | {"OTEL_BSP_SCHEDULE_DELAY": "600000"}
        with running_service(ready=True, **waiting) as service:
            service.generate("hola")
            service.process.send_signal(signal.SIGTERM)
            service.process.wait(60)
        assert len(collector.spans) == 2
