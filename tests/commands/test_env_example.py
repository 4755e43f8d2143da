""".env.example against the settings of both apps: nothing forgotten, nothing invented, defaults as they are."""

from __future__ import annotations

import functools
import itertools
import json
import os
import re
import subprocess
import sys

import pytest

from conftest import ROOT

APPS = ("llm_service", "backend")
# Read by huggingface_hub and OpenTelemetry themselves; the apps need no field for them.
LIBRARY_VARIABLES = {"HF_HOME", "HF_TOKEN", "HF_HUB_OFFLINE", "OTEL_EXPORTER_OTLP_ENDPOINT"}
# Names and versions are the product's, not the user's.
NOT_FOR_USERS = {"APP_NAME", "APP_VERSION", "LLM_PROMPT_LOOKUP", "LLM_REPRODUCIBLE"}
# The one default in which the apps differ; the file says so.
DIFFERENT = {("backend", "CORS_ORIGINS")}

PRINT_SETTINGS = (
    "import json; from config.settings import settings; print(json.dumps(settings.model_dump(mode='json')))"
)


def documented() -> dict[str, str]:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    return dict(re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=(.*)$", text, re.MULTILINE))


def settings_of(app: str, variables: dict[str, str]) -> dict[str, object]:
    """An app's settings, by name of the variable, in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "SYSTEMROOT", "HOME")}
    answer = subprocess.run(
        [sys.executable, "-c", PRINT_SETTINGS],
        cwd=ROOT / app,
        env={**kept, "ENV_FILES": "none", **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    return {name.upper(): value for name, value in json.loads(answer.stdout).items()}


@functools.cache
def defaults(app: str) -> dict[str, object]:
    return settings_of(app, {})


def test_what_is_documented_are_the_settings() -> None:
    fields = set().union(*map(defaults, APPS))
    assert documented().keys() - fields - LIBRARY_VARIABLES == set()
    assert fields - documented().keys() - NOT_FOR_USERS == set()


@pytest.mark.parametrize("app", APPS)
def test_the_documented_defaults_are_the_real_ones(app: str) -> None:
    shown = {name: value for name, value in documented().items() if value and (app, name) not in DIFFERENT}
    assert settings_of(app, shown) == defaults(app)


def test_the_services_own_example_says_the_same() -> None:
    text = (ROOT / "llm_service" / ".env.example").read_text(encoding="utf-8")
    own = re.findall(r"^# ([A-Z][A-Z0-9_]+)=(.*)$", text, re.MULTILINE)
    assert own
    assert set(own) <= documented().items()
    assert [line for line in text.splitlines() if line and not line.startswith("#")] == []


def test_every_variable_is_explained() -> None:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    assignment = re.compile(r"^#? ?[A-Z][A-Z0-9_]+=")
    alone = [
        line
        for before, line in itertools.pairwise(lines)
        if assignment.match(line) and not before.startswith("# ") and not assignment.match(before)
    ]
    assert alone == []


def test_holds_no_secret_and_switches_nothing_on_when_copied() -> None:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == []
