"""Tracing that is off, not installed or misspelt, in both apps."""

from __future__ import annotations

import os
import subprocess

import pytest

from conftest import ROOT
from devtools.layout import App, Workspace

APPS = [pytest.param(app, id=app.name) for app in Workspace(ROOT).apps]
STAND_INS = {"LLM_BACKEND": "fake", "EMBEDDING_BACKEND": "fake", "DATABASE_URL": "postgresql://x@127.0.0.1:9/x"}
LOADED = """
import sys, main
from starlette.testclient import TestClient

with TestClient(main.app, base_url="http://127.0.0.1") as client:
    answer = client.get("/api/nothing", headers={"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"})
names = ("opentelemetry.sdk", "opentelemetry.exporter", "google.protobuf", "service_kit.observability.otlp")
print(answer.status_code, [name for name in sys.modules if name.startswith(names)])
"""
"""Prints which tracing modules are loaded after a request."""


def run_python(app: App, code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "SYSTEMROOT", "TEMP", "TMP") if name in os.environ}
    return subprocess.run(
        [app.python, "-c", code],
        cwd=app.folder,
        env={**kept, **STAND_INS, "ENV_FILES": "none", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("app", APPS)
def test_without_tracing_nothing_of_its_packages_is_loaded(app: App) -> None:
    """FastAPI itself loads ``opentelemetry.trace``; what costs is the SDK."""
    collector = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "FASTAPI_OTEL_AUTO_CONFIGURE": "true"}
    done = run_python(app, LOADED, **collector)
    assert done.stdout.split(maxsplit=1) == ["404", "[]\n"], done.stderr


@pytest.mark.parametrize("app", APPS)
def test_a_start_without_the_packages_says_what_to_install(app: App) -> None:
    done = run_python(app, "import sys; sys.modules['opentelemetry.exporter'] = None; import main", TRACING="otlp")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("configuration error: TRACING: otlp needs packages that are not installed (")
    assert "pip install -r requirements-tracing.txt" in line


@pytest.mark.parametrize("app", APPS)
def test_a_wrong_value_stops_the_start_with_one_line(app: App) -> None:
    done = run_python(app, "import config.settings", TRACING="jaeger")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("configuration error: TRACING")
