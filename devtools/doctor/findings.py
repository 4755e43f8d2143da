"""Findings of the doctor, and questions that only an app's own environment can answer."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from devtools.layout import App
from devtools.processes import child_environment


@dataclass(frozen=True)
class Finding:
    """One line of the report: the subject, what was seen, and the remedy unless the verdict is ok."""

    verdict: Literal["ok", "warn", "fail"]
    subject: str
    seen: str
    remedy: str = ""


def ok(subject: str, seen: str) -> Finding:
    """No fault."""
    return Finding("ok", subject, seen)


def warn(subject: str, seen: str, remedy: str) -> Finding:
    """It works, but not as well as it could."""
    return Finding("warn", subject, seen, remedy)


def fail(subject: str, seen: str, remedy: str) -> Finding:
    """The product will not run, or not as configured."""
    return Finding("fail", subject, seen, remedy)


def run_python(
    app: App, *arguments: str | Path, limit_s: float = 60, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str] | None:
    """Runs an app's interpreter in its folder; None when it cannot be started or takes longer than `limit_s`."""
    try:
        return subprocess.run(
            [str(app.python), *map(str, arguments)],
            cwd=app.folder, env=child_environment(variables), timeout=limit_s,
            capture_output=True, text=True, encoding="utf-8", errors="replace", check=False,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None


def ask_python(
    app: App, *arguments: str | Path, limit_s: float = 60, variables: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The JSON object that a program prints in an app's environment; empty when it does not."""
    done = run_python(app, *arguments, limit_s=limit_s, variables=variables)
    try:
        answer = json.loads(done.stdout) if done and not done.returncode else {}
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
