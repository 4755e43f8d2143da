"""`dev.py bench`: the programs of bench/service and bench/backend, each in that app's environment."""

from __future__ import annotations

import ast
import os
from collections.abc import Sequence
from pathlib import Path

from devtools.console import Console
from devtools.errors import DevError
from devtools.layout import App, Workspace
from devtools.processes import child_environment, run_in_foreground
from devtools.stopping import Stop


def benchmarks(workspace: Workspace) -> dict[str, Path]:
    """The programs of bench/service and bench/backend, by name: modules with a function `measure`."""
    files = sorted(path for name in ("service", "backend") for path in (workspace.root / "bench" / name).glob("*.py"))
    return {
        path.stem: path for path in files if "\ndef measure(" in (text := _text(path)) or "\nasync def measure(" in text
    }


def app_of(workspace: Workspace, path: Path) -> App:
    """The app in whose environment a file of bench/ runs; its folder has the app's name."""
    return workspace.backend if path.parent.name == "backend" else workspace.llm_service


def summary(path: Path) -> str:
    """The first line of a benchmark's docstring."""
    return (ast.get_docstring(ast.parse(_text(path))) or "").partition("\n")[0]


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def run(workspace: Workspace, names: Sequence[str], arguments: Sequence[str], console: Console, stop: Stop) -> int:
    """Runs benchmarks one after the other; 0 when all succeeded. Raises DevError for an unknown name."""
    every = benchmarks(workspace)
    unknown = [name for name in names if name not in every]
    if unknown:
        raise DevError(f"There is no benchmark {', '.join(unknown)}.", f"There are: {', '.join(every) or 'none'}.")
    failed = []
    for name in names:
        path = every[name]
        console.line(f"== {name}: {summary(path)} ==")
        app = app_of(workspace, path)
        command: list[str | Path] = [app.python, "-m", "bench", f"{path.parent.name}.{name}", *arguments]
        # A benchmark imports from bench/ and from its app.
        module_path = os.pathsep.join((str(workspace.root), str(app.folder)))
        environment = child_environment({"ENV_FILES": "none", "PYTHONPATH": module_path})
        if run_in_foreground(command, cwd=workspace.root, env=environment, stop=stop):
            failed.append(name)
    if failed:
        console.line(f"Failed: {', '.join(failed)}")
    return 1 if failed else 0
