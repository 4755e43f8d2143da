"""Pages of docs/ against what they speak of: alerts, commands, settings, files, tests."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from conftest import ROOT
from devtools import cli

OPERATIONS = ROOT / "docs" / "operations.md"
PAGES = (OPERATIONS, ROOT / "docs" / "cloud.md", ROOT / "docs" / "ORGANIZACION_PROYECTO.md")
# Names in capitals that are no setting of the apps.
NOT_SETTINGS = {"FILE", "NAME", "PROJECT", "REVISION", "RELEASE", "VM", "HF_HOME", "TLS", "GPU", "IGNORED"}


def runbook() -> str:
    """The part about running; what follows is about logs and metrics."""
    return OPERATIONS.read_text(encoding="utf-8").partition("\n## LLM service: logs and metrics")[0]


def test_every_alert_is_explained_and_none_is_invented() -> None:
    rules = (ROOT / "deploy" / "prometheus" / "alerts.yml").read_text(encoding="utf-8")
    explained = re.findall(r"^\| `(\w+)` \|", runbook().partition("\n## Alerts")[2], re.MULTILINE)
    assert sorted(explained) == sorted(re.findall(r"^ +- alert: (\w+)$", rules, re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    parser = cli._parser()
    (commands,) = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    used = set(re.findall(r"dev\.py (\w+)", text))
    assert used
    assert used <= commands.choices.keys()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_and_every_file_it_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
    named = re.findall(r"`((?:backend|tests|llm_service|deploy)/[\w/.-]+\.\w+)`", text)
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_every_test_that_rehearses_something_exists() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", runbook())
    assert named
    assert [name for name in named if f"def {name}(" not in sources] == []


def test_every_setting_it_names_exists() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    known = set(re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", example, re.MULTILINE)) | NOT_SETTINGS
    named = set(re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)(?:=[^`]*)?`", runbook()))
    assert len(named) > 15
    assert named - known == set()
