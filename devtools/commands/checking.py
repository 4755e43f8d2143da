"""`dev.py check`: formatter, linter, import contracts and type checker, both environments side by side."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from devtools.commands.benchmarks import app_of
from devtools.console import Console
from devtools.layout import App, Workspace
from devtools.processes import child_environment, run_captured
from devtools.stopping import Stop

# import-linter has no `python -m`, and the script beside the interpreter has another name on Windows.
_LINT_IMPORTS = "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command as run; run()"
# import-linter does not cover main.py, so its imports are checked at run time.
_WEIGH = (
    "import sys; import main; "
    "heavy = {'torch', 'transformers', 'sentence_transformers', 'openvino', 'openvino_genai'} & set(sys.modules); "
    "sys.exit(f'importing main imports {sorted(heavy)} too' if heavy else 0)"
)


@dataclass(frozen=True)
class Check:
    """One tool run in one folder with one app's environment."""

    title: str
    app: App
    folder: Path
    command: tuple[str | Path, ...]
    variables: tuple[tuple[str, str], ...] = ()


def checks(workspace: Workspace, fix: bool = False) -> list[Check]:
    """Every check. With `fix`, formatter and linter correct what they can."""
    root, backend = workspace.root, workspace.backend
    ruff = ("-m", "ruff")
    found = [
        Check("format", backend, root, (*ruff, "format", *(() if fix else ("--check",)), ".")),
        Check("lint", backend, root, (*ruff, "check", *(("--fix",) if fix else ()), ".")),
    ]
    for app in workspace.apps:
        if (app.folder / ".importlinter").is_file():
            found.append(Check(f"imports of {app.name}", app, app.folder, ("-c", _LINT_IMPORTS, "--no-logo")))
        found.append(Check(f"weight of {app.name}", app, app.folder, ("-c", _WEIGH), (("ENV_FILES", "none"),)))
        found.append(_types(workspace, app))
    kit = root / "service_kit"
    if kit.is_dir():
        # Checked by package name, as installed; shares the backend's cache, which has most of its modules.
        mypy = ("-m", "mypy", "--config-file", root / "pyproject.toml", "--cache-dir", root / ".mypy_cache" / "backend")
        found.append(Check("types of service_kit", backend, kit, (*mypy, "-p", "service_kit")))
    return found


def _types(workspace: Workspace, app: App) -> Check:
    """One mypy run over all code that runs in an app's environment.

    `MYPYPATH` names the folders whose files import each other by bare name; a file belongs to the nearest one.
    """
    root = workspace.root
    if app == workspace.llm_service:
        bare, more = root / "deploy" / "ray", []
    else:
        bare, more = root / "tests", [root / "dev.py", root / "devtools"]
    targets = [place for place in (app.folder, bare, *more) if place.is_file() or any(place.glob("**/*.py"))]
    targets += [path for path in sorted((root / "bench").rglob("*.py")) if app_of(workspace, path) == app]
    command = ("-m", "mypy", "--config-file", root / "pyproject.toml", "--cache-dir", root / ".mypy_cache" / app.name)
    bases = os.pathsep.join(str(base) for base in (app.folder, bare, root / "tests", root))
    return Check(f"types of {app.name}", app, root, (*command, *targets), (("MYPYPATH", bases),))


def run(chosen: Sequence[Check], console: Console, stop: Stop) -> int:
    """Runs every check, even after a failure; returns 0 if all passed."""

    def in_turn(app: App) -> list[str]:
        return [check.title for check in chosen if check.app == app and not _passes(check, console, stop)]

    apps = list(dict.fromkeys(check.app for check in chosen))
    with ThreadPoolExecutor(max(1, len(apps))) as pool:
        failed = [title for titles in pool.map(in_turn, apps) for title in titles]
    stop.check()
    console.line(f"Failed: {', '.join(failed)}" if failed else f"All {len(chosen)} checks passed.")
    if {"format", "lint"} & set(failed):
        console.line("`dev.py check --fix` corrects most of what formatter and linter find.")
    return 1 if failed else 0


def _passes(check: Check, console: Console, stop: Stop) -> bool:
    environment = child_environment(dict(check.variables))
    status, output = run_captured([check.app.python, *check.command], cwd=check.folder, env=environment, stop=stop)
    console.line(f"== {check.title} ==\n{output.rstrip()}")
    return status == 0
