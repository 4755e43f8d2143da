"""Whatever a request looks like, what ``/openapi.json`` says of the answer holds: Schemathesis makes requests
that follow the description, and requests that break it, and compares.

By hand: ``schemathesis run http://localhost:8001/openapi.json`` with ``SCHEMATHESIS_HOOKS`` naming
schemathesis_hooks.py.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.service_process import ServiceProcess, running_service

HOOKS = Path(__file__).with_name("schemathesis_hooks.py")
KEY = "correct-horse"
EXAMPLES = 100
LONGEST_S = 300


@pytest.fixture(scope="module")
def guarded() -> Iterator[ServiceProcess]:
    with running_service(LLM_SERVICE_API_KEY=KEY) as process:
        yield process


def explore(service: ServiceProcess, folder: Path, *options: str) -> dict[str, Any]:
    """Run Schemathesis against the service; return its report. Fails when an answer was not as described."""
    report = folder / "report.json"
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{service.port}/openapi.json"]
    # Deterministic: a request that fails, fails on every run.
    command += ["--generation-deterministic", "--continue-on-failure", "--no-color"]
    # That the machine is slow is no fault of the answers.
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


def with_input(service: ServiceProcess) -> int:
    """Return how many operations take anything that can be varied."""
    paths = service.client.get("/openapi.json").json()["paths"]
    return sum("requestBody" in way or "parameters" in way for ways in paths.values() for way in ways.values())


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_every_answer_is_as_described(service: ServiceProcess, tmp_path: Path, mode: str) -> None:
    found = explore(service, tmp_path, "--checks", "all", "--mode", mode, "--max-examples", str(EXAMPLES))
    assert found["test_cases"]["generated"] >= EXAMPLES * with_input(service) > 0
    assert service.health()["restarts"] == 0


def test_every_operation_that_is_said_to_need_the_key_does(guarded: ServiceProcess, tmp_path: Path) -> None:
    header = {"Authorization": f"Bearer {KEY}"}
    paths = guarded.client.get("/openapi.json", headers=header).json()["paths"]
    open_paths = {path for path, ways in paths.items() for way in ways.values() if "security" not in way}
    assert open_paths == {"/livez", "/readyz"}
    with_key = ["--header", f"Authorization: Bearer {KEY}"]
    explore(
        guarded,
        tmp_path,
        *with_key,
        "--checks",
        "ignored_auth",
        "--mode",
        "positive",
        "--max-examples",
        "5",
        "--phases",
        "fuzzing",
    )
