"""Tracing that is off, not installed or goes nowhere, and where its settings come from."""

import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.log_lines import json_lines
from tests.api.service_process import eventually, running_service
from trace_collector import ENVIRONMENT, Collector, running_collector


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
def test_the_spans_of_the_last_requests_are_sent_when_the_service_ends(collector: Collector) -> None:
    before = len(collector.spans)
    waiting = {"OTEL_BSP_SCHEDULE_DELAY": "600000"}
    with running_service(ready=True, **(collector.environment() | waiting)) as service:
        service.generate("hola")
        service.process.send_signal(signal.SIGTERM)
        service.process.wait(60)
        assert len(collector.spans) == before + 2
