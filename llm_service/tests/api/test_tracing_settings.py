"""Tracing that is off, not installed or goes nowhere, and where its settings come from."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.service_process import APP_DIR, KEPT, eventually, running_service
from tests.api.trace_collector import ENVIRONMENT, Collector, running_collector


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with running_collector() as running:
        yield running


def test_its_variables_may_stand_in_the_files_of_the_settings(tmp_path: Path, collector: Collector) -> None:
    file = tmp_path / "some.env"
    lines = (f"{name}={value}" for name, value in collector.environment().items())
    file.write_text("\n".join([*lines, "OTEL_SERVICE_NAME=from-a-file"]), encoding="utf-8")
    with running_service(ENV_FILES=str(file)) as service:
        assert service.generate("hola").status_code == 200
        eventually(lambda: any(span.service == "from-a-file" for span in collector.spans), "its spans have arrived")


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
            lines = [json.loads(line) for line in service.log().splitlines()]
    about = [line for line in lines if line["logger"] == "observability.tracing_otlp"]
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
            service.process.wait(25)
            assert "the last spans were given up" in service.log()


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


def run_python(code: str, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    environment |= {"ENV_FILES": "none", "LLM_BACKEND": "fake", "EMBEDDING_BACKEND": "fake", **settings}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=APP_DIR,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_tracing_nothing_of_its_packages_is_loaded() -> None:
    """FastAPI itself loads ``opentelemetry.trace``, without which it does not start; what costs is the rest."""
    collector = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "FASTAPI_OTEL_AUTO_CONFIGURE": "true"}
    done = run_python(LOADED, *("PATCH", "/api/llm/embed"), **collector)
    assert done.stdout.split(maxsplit=1) == ["405", "[]\n"], done.stderr


@pytest.mark.parametrize("missing", ["opentelemetry.sdk", "opentelemetry.exporter", "google.protobuf"])
def test_a_start_without_the_packages_says_what_to_install(missing: str) -> None:
    code = f"import sys; sys.modules['{missing}'] = None; import main"
    done = run_python(code, TRACING="otlp")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("Configuration error: TRACING: otlp needs packages that are not installed (")
    assert "pip install -r requirements-tracing.txt" in line


def test_a_wrong_value_stops_the_start_with_one_line() -> None:
    done = run_python("import main", TRACING="jaeger")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "TRACING" in line


@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM ends a process on Windows at once")
def test_the_spans_of_the_last_requests_are_sent_when_the_service_ends(collector: Collector) -> None:
    before = len(collector.spans)
    waiting = {"OTEL_BSP_SCHEDULE_DELAY": "600000"}
    with running_service(ready=True, **(collector.environment() | waiting)) as service:
        service.generate("hola")
        service.process.send_signal(signal.SIGTERM)
        service.process.wait(25)
        assert len(collector.spans) == before + 2
