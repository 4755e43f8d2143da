"""Whatever a request looks like, what ``/openapi.json`` says of the answer holds: Schemathesis makes requests
that follow the description, and requests that break it, and compares.

By hand: ``schemathesis run http://localhost:8000/openapi.json`` with ``SCHEMATHESIS_HOOKS`` naming
schemathesis_hooks.py.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from main import Collaborators
from tests.backend_server import LocalStub, running, settings_for, until_ready
from tests.fake_llm_service import FakeLLMService

HOOKS = Path(__file__).with_name("schemathesis_hooks.py")
KEY = "llave"
EXAMPLES = 100
LONGEST_S = 300


@pytest.fixture
def backend(database_url: str, service: FakeLLMService) -> Iterator[httpx.Client]:
    settings = settings_for(database_url=database_url, llm_service_url=service.url)
    with running(settings, Collaborators(local=LocalStub())) as client:
        until_ready(client)
        yield client


@pytest.fixture
def guarded(database_url: str, service: FakeLLMService) -> Iterator[httpx.Client]:
    settings = settings_for(database_url=database_url, llm_service_url=service.url, backend_api_key=KEY)
    with running(settings, Collaborators(local=LocalStub())) as client:
        until_ready(client)
        yield client


def explore(client: httpx.Client, folder: Path, *options: str) -> dict[str, Any]:
    """Run Schemathesis against the backend; return its report. Fails when an answer was not as described."""
    report = folder / "report.json"
    url = str(client.base_url.join("/openapi.json"))
    command = [sys.executable, "-m", "schemathesis.cli", "run", url]
    # Deterministic: a request that fails, fails on every run.
    command += ["--generation-deterministic", "--continue-on-failure", "--no-color"]
    # Neither a slow machine nor that hardly any path is a wrong id of a document is a fault of the answers.
    command += ["--suppress-health-check", "all"]
    command += ["--report", "json", "--report-json-path", str(report), *options]
    finished = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"SCHEMATHESIS_HOOKS": str(HOOKS), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=LONGEST_S,
        check=False,
    )
    said = "\n".join(line[:1000] for line in (finished.stdout + finished.stderr).splitlines() if line.strip())
    assert finished.returncode == 0, said
    found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    assert found["operations"]["tested"] == found["operations"]["total"], said
    return found


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_every_answer_is_as_described(backend: httpx.Client, tmp_path: Path, mode: str) -> None:
    found = explore(backend, tmp_path, "--checks", "all", "--mode", mode, "--max-examples", str(EXAMPLES))
    paths = backend.get("/openapi.json").json()["paths"]
    varied = [way for ways in paths.values() for way in ways.values() if "requestBody" in way or "parameters" in way]
    assert found["test_cases"]["generated"] >= EXAMPLES * len(varied) > 0


def test_every_operation_that_is_said_to_need_the_key_does(guarded: httpx.Client, tmp_path: Path) -> None:
    header = {"Authorization": f"Bearer {KEY}"}
    paths = guarded.get("/openapi.json", headers=header).json()["paths"]
    open_paths = {path for path, ways in paths.items() for way in ways.values() if "security" not in way}
    assert open_paths == {"/livez", "/readyz"}
    with_key = ["--header", f"Authorization: Bearer {KEY}"]
    options = ["--checks", "ignored_auth", "--mode", "positive", "--max-examples", "5", "--phases", "fuzzing"]
    explore(guarded, tmp_path, *with_key, *options)
