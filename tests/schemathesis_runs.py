"""Whatever a request looks like, what ``/openapi.json`` says of the answer holds: Schemathesis makes requests that
follow the description of a running app, and requests that break it, and compares.

By hand: ``schemathesis run http://localhost:8001/openapi.json`` with ``SCHEMATHESIS_HOOKS`` naming the app's
schemathesis_hooks.py and ``PYTHONPATH`` this folder.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

LONGEST_S = 300


def examples(app: str) -> list[Any]:
    """Random requests an operation, beside those made of every field's bounds, which are always sent."""
    return [0, pytest.param(100, marks=pytest.mark.slow(of=f"schemathesis_{app}"))]


@dataclass(frozen=True)
class Explorer:
    """Runs Schemathesis with the app's hooks; its reports come into ``folder``."""

    hooks: Path
    folder: Path

    def check_answers(self, client: httpx.Client, mode: str, examples: int) -> None:
        """Every operation answers ``examples`` requests as described."""
        phases = "examples,coverage,fuzzing,stateful" if examples else "examples,coverage"
        options = ["--checks", "all", "--mode", mode, "--phases", phases, "--max-examples", str(max(1, examples))]
        found = self._explore(client, *options)
        paths = client.get("/openapi.json").json()["paths"]
        ways = [way for ways in paths.values() for way in ways.values()]
        varied = [way for way in ways if "requestBody" in way or "parameters" in way]
        assert found["test_cases"]["generated"] >= max(1, examples) * len(varied) > 0

    def _explore(self, client: httpx.Client, *options: str) -> dict[str, Any]:
        """Return the report. Fails when an answer was not as described."""
        report = self.folder / "report.json"
        url = str(client.base_url.join("/openapi.json"))
        command = [sys.executable, "-m", "schemathesis.cli", "run", url]
        # Deterministic: a request that fails, fails on every run.
        command += ["--generation-deterministic", "--continue-on-failure", "--no-color"]
        # Neither a slow machine nor that hardly any path is a wrong id of a document is a fault of the answers.
        command += ["--suppress-health-check", "all"]
        command += ["--report", "json", "--report-json-path", str(report), *options]
        settings = {
            "SCHEMATHESIS_HOOKS": str(self.hooks),
            "PYTHONPATH": str(Path(__file__).parent),  # for what the hooks of both apps share
            "PYTHONIOENCODING": "utf-8",
        }
        finished = subprocess.run(
            command,
            cwd=self.folder,
            env=os.environ | settings,
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
