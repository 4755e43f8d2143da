"""What the backend's spans tell, and what tracing costs where it is off, not installed or goes nowhere.

Traces through both apps to a collector: ``tests/test_traces.py`` in the repository's root.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from adapters.base import ChatMessage, Completion, Document, LogicalError, SamplingOptions, TechnicalError
from adapters.fallback import FallbackChain, Provider
from adapters.huggingface_adapter import HuggingFaceAdapter
from adapters.llm_service_adapter import LLMServiceAdapter
from adapters.llm_service_config import ServiceConfig
from adapters.local_config import LocalModelConfig
from adapters.supabase_adapter import SupabaseAdapter
from config.settings import BACKEND_ROOT
from observability.events import unobserved
from observability.tracing import ended, inside
from observability.tracing_events import noting
from services.retrieval import Retriever
from tests.fake_llm_service import FakeLLMService
from tests.fakes import FakeEmbedder
from tests.logged_backend import logged_backend
from tests.recorded_span import RecordedSpan

pytestmark = pytest.mark.anyio
QUESTION: list[ChatMessage] = [{"role": "user", "content": "¿Cómo se dice perro?"}]
GREEDY = SamplingOptions(max_new_tokens=9, temperature=0.0)
STAND_IN = (sys.executable, "-m", "tests.local_stand_in")
PARENT = {"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"}


@pytest.fixture
async def adapter(service: FakeLLMService) -> AsyncIterator[LLMServiceAdapter]:
    config = ServiceConfig(urls=(service.url,), timeout_s=10, language_model="some/llm", embedding_model="some/minilm")
    made = LLMServiceAdapter(config)
    yield made
    await made.close()


async def test_each_try_is_a_span_that_the_service_goes_on_from(
    adapter: LLMServiceAdapter, service: FakeLLMService
) -> None:
    service.mode, service.faults_left = "busy", 1
    request = RecordedSpan()
    with inside(request):
        await adapter.complete(QUESTION, GREEDY)
    first, second = request.children
    assert [(span.name, span.kind, span.recording) for span in request.children] == [
        ("chat some/llm", "client", False)
    ] * 2
    assert (first.failed, first.attributes["error.type"]) == (True, "overloaded")
    assert not second.failed
    assert second.attributes["gen_ai.request.max_tokens"] == 9
    assert second.attributes["gen_ai.request.temperature"] == 0.0
    assert second.attributes["gen_ai.response.finish_reasons"] == ["stop"]
    assert second.attributes["server.port"] == service.port
    sent = [call["headers"]["traceparent"] for call in service.calls]
    assert sent == [first.headers()["traceparent"], second.headers()["traceparent"]]


async def test_vectors_are_a_span(adapter: LLMServiceAdapter) -> None:
    request = RecordedSpan()
    with inside(request):
        await adapter.embed_texts(["perro", "gato"])
    (call,) = request.children
    assert (call.name, call.kind, call.recording) == ("embeddings some/minilm", "client", False)
    assert (call.attributes["gen_ai.embeddings.dimension.count"], call.attributes["app.texts"]) == (384, 2)


async def test_a_stream_ends_its_span_with_the_answer(adapter: LLMServiceAdapter) -> None:
    request = RecordedSpan()
    with inside(request):
        async with aclosing(adapter.stream(QUESTION, GREEDY)) as parts:
            async for part in parts:
                if isinstance(part, Completion):
                    break  # leaves before the last event
    (call,) = request.children
    assert (call.recording, call.failed, "app.cancelled" in call.attributes) == (False, False, False)
    assert call.attributes["gen_ai.response.time_to_first_chunk"] > 0


async def test_a_caller_who_leaves_a_stream_ends_its_span(adapter: LLMServiceAdapter) -> None:
    request = RecordedSpan()
    with inside(request):
        async with aclosing(adapter.stream(QUESTION, GREEDY)) as parts:
            await anext(parts)
    (call,) = request.children
    assert (call.recording, call.failed, call.attributes["app.cancelled"]) == (False, False, True)


async def test_a_refusal_is_told_by_its_name(adapter: LLMServiceAdapter, service: FakeLLMService) -> None:
    service.mode = "400"
    request = RecordedSpan()
    with inside(request), pytest.raises(LogicalError):
        await adapter.complete(QUESTION, GREEDY)
    assert request.children[0].attributes["error.type"] == "context_length_exceeded"


async def test_an_answer_of_another_shape_breaks_no_request(
    adapter: LLMServiceAdapter, service: FakeLLMService
) -> None:
    service.mode = "fields"
    request = RecordedSpan()
    with inside(request), pytest.raises(TechnicalError):
        await adapter.complete(QUESTION, GREEDY)
    assert {span.attributes["error.type"] for span in request.children} == {"protocol"}


async def test_the_local_fallback_is_a_span_and_its_reason_an_event(tmp_path: Path) -> None:
    away = LLMServiceAdapter(ServiceConfig(urls=("http://127.0.0.1:9",), timeout_s=5))
    config = LocalModelConfig(model="stand-in", unpacked_cache=tmp_path, timeout_s=60)
    local = HuggingFaceAdapter(config, STAND_IN)
    chain = FallbackChain(
        [Provider("llm_service", away, away), Provider("local", local, local)], observe=noting(unobserved)
    )
    request = RecordedSpan()
    with inside(request):
        assert (await chain.complete(QUESTION, GREEDY)).served_by == "local"
    await local.close()
    await away.close()
    assert request.events == [("fallback", {"reason": "connect"})]
    answer = request.children[-1]
    assert (answer.name, answer.kind, answer.recording, answer.failed) == ("chat stand-in", "internal", False, False)
    assert answer.attributes["gen_ai.provider.name"] == "local"
    assert all(span.attributes["error.type"] == "connect" for span in request.children[:-1])


@pytest.mark.parametrize(("failing", "mode"), [(False, "words_and_meaning"), (True, "words")])
async def test_a_search_says_how_it_was_made_and_not_for_what(store: SupabaseAdapter, failing: bool, mode: str) -> None:
    embedder = FakeEmbedder()
    await store.upsert([Document("1", "phrase", "perro: oohííbye")])
    embedder.failing = failing
    request = RecordedSpan()
    with inside(request):
        await Retriever(store, embedder, observe=noting(unobserved)).search("¿Cómo se dice perro en bora?", 5)
    (retrieval,) = request.children
    assert retrieval.attributes == {
        "gen_ai.operation.name": "retrieval",
        "app.retrieval.mode": mode,
        "app.retrieval.results": 1,
    }
    assert retrieval.events == ([("fallback", {"reason": "connect"})] if failing else [])
    (search,) = retrieval.children
    assert search.attributes["db.system.name"] == "postgresql"
    for span in request.family():
        assert "perro" not in f"{span.name}{span.attributes}{span.events}"


async def test_spans_outlive_the_task_that_began_them() -> None:
    request = RecordedSpan()

    async def pieces() -> AsyncIterator[int]:
        with ended(request.child("stream")):
            for number in range(3):
                yield number

    stream = pieces()
    with inside(request):
        assert [await asyncio.create_task(anext(stream)) for _ in range(3)] == [0, 1, 2]  # type: ignore[arg-type]
    assert await anext(stream, None) is None
    assert not request.children[0].recording


LOADED = """
import asyncio, sys, httpx, main

async def run(method, path):
    told, started = asyncio.Queue(), asyncio.Event()
    await told.put({"type": "lifespan.startup"})

    async def send(message):
        started.set()

    life = asyncio.create_task(main.app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, told.get, send))
    await started.wait()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(main.app), base_url="http://127.0.0.1") as client:
        answer = await client.request(method, path, headers={"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"})
    names = ("opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.proto", "google.protobuf")
    print(answer.status_code, [name for name in sys.modules if name.startswith((*names, "observability.tracing_otlp"))])
    await told.put({"type": "lifespan.shutdown"})
    await life

asyncio.run(run(*sys.argv[1:]))
"""
"""What of tracing is loaded once a request was answered."""


def run_python(code: str, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=BACKEND_ROOT,
        env={**os.environ, "ENV_FILES": "none", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_tracing_nothing_of_its_packages_is_loaded() -> None:
    """FastAPI itself loads ``opentelemetry.trace``, without which it does not start; what costs is the rest."""
    collector = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "FASTAPI_OTEL_AUTO_CONFIGURE": "true"}
    done = run_python(LOADED, *("PATCH", "/api/rag/search"), DATABASE_URL="postgresql://x@127.0.0.1:9/x", **collector)
    assert done.stdout.split(maxsplit=1) == ["405", "[]\n"], done.stderr


@pytest.mark.parametrize("missing", ["opentelemetry.sdk", "opentelemetry.exporter", "google.protobuf"])
def test_a_start_without_the_packages_says_what_to_install(missing: str) -> None:
    done = run_python(f"import sys; sys.modules['{missing}'] = None; import main", TRACING="otlp")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("configuration error: TRACING: otlp needs packages that are not installed (")
    assert "pip install -r requirements-tracing.txt" in line


def test_a_wrong_value_stops_the_start_with_one_line() -> None:
    done = run_python("import main", TRACING="jaeger")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("configuration error: TRACING")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process at once")
def test_a_collector_that_hangs_keeps_nobody_waiting(tmp_path: Path, database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        variables = {
            "TRACING": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "600",
            "OTEL_BSP_SCHEDULE_DELAY": "10",
            "OTEL_BSP_MAX_QUEUE_SIZE": "8",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4",
        }
        log = tmp_path / "log"
        # Its end is waited for as long as any backend's.
        with logged_backend(log, DATABASE_URL=database_url, **variables) as backend:
            answers = [backend.client.get("/api/rag/search?q=perro", headers=PARENT) for _ in range(10)]
            assert {answer.status_code for answer in answers} == {200}
            line = backend.access_line(answers[-1].headers["X-Request-ID"])
    assert line["trace_id"] == "a" * 32
    lines = [json.loads(each) for each in log.read_text(encoding="utf-8").splitlines()]
    about = [each["event"] for each in lines if "tracing" in each["logger"]]
    assert about == ["the last spans were given up: the collector does not take them"]
