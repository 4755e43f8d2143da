"""`dev.py bench`: the programs of bench/service and bench/backend, each in that app's environment."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from devtools.console import Console
from devtools.errors import DevError
from devtools.layout import App, Workspace
from devtools.processes import child_environment, run_in_foreground
from devtools.stopping import Stop

_SUMMARY = re.compile(r'^"""(.+?)(?:"""|\n|$)')
_MAIN = '__name__ == "__main__"'


def benchmarks(workspace: Workspace) -> dict[str, Path]:
    """The runnable programs of bench/service and bench/backend, by name."""
    files = sorted(path for name in ("service", "backend") for path in (workspace.root / "bench" / name).glob("*.py"))
    return {path.stem: path for path in files if _MAIN in path.read_text(encoding="utf-8")}


def app_of(workspace: Workspace, path: Path) -> App:
    """The app in whose environment a file of bench/ runs; its folder has the app's name."""
    return workspace.backend if path.parent.name == "backend" else workspace.llm_service


def summary(path: Path) -> str:
    """The first line of a benchmark's docstring."""
    match = _SUMMARY.match(path.read_text(encoding="utf-8"))
    return match.group(1).strip() if match else ""


def choose(workspace: Workspace, names: Sequence[str]) -> dict[str, Path]:
    """The benchmarks of these names. Raises DevError for an unknown name."""
    every = benchmarks(workspace)
    unknown = [name for name in names if name not in every]
    if unknown:
        raise DevError(f"There is no benchmark {', '.join(unknown)}.", f"There are: {', '.join(every) or 'none'}.")
    return {name: every[name] for name in names}


def run(workspace: Workspace, chosen: dict[str, Path], arguments: Sequence[str], console: Console, stop: Stop) -> int:
    """Runs benchmarks one after the other; 0 when all succeeded."""
    failed = []
    for name, path in chosen.items():
        console.line(f"== {name}: {summary(path)} ==")
        app = app_of(workspace, path)
        module = ".".join(path.relative_to(workspace.root).with_suffix("").parts)
        command: list[str | Path] = [app.python, "-m", module, *arguments]
        # A benchmark imports from bench/ and from its app.
        module_path = os.pathsep.join((str(workspace.root), str(app.folder)))
        environment = child_environment({"ENV_FILES": "none", "PYTHONPATH": module_path})
        if run_in_foreground(command, cwd=workspace.root, env=environment, stop=stop):
            failed.append(name)
    if failed:
        console.line(f"Failed: {', '.join(failed)}")
    return 1 if failed else 0
