"""`dev.py check`: formatter, linter, type checker, and who may import whom."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from devtools.benchmarks import app_of
from devtools.console import Console
from devtools.layout import App, Workspace
from devtools.processes import child_environment, run_in_foreground
from devtools.stopping import Stop

# import-linter has no `python -m`, and the script beside the interpreter has another name on Windows.
_LINT_IMPORTS = "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command as run; run()"
# main.py is outside what import-linter sees, so this asks the interpreter itself.
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
    """Every check, the quickest first. With `fix`, formatter and linter mend what they can."""
    root, backend = workspace.root, workspace.backend
    config = root / "pyproject.toml"
    cache = workspace.root / ".mypy_cache"
    ruff = ("-m", "ruff")
    found = [
        Check("format", backend, root, (*ruff, "format", *(() if fix else ("--check",)), ".")),
        Check("lint", backend, root, (*ruff, "check", *(("--fix",) if fix else ()), ".")),
    ]
    found += [
        Check(f"imports of {app.name}", app, app.folder, ("-c", _LINT_IMPORTS, "--no-logo"))
        for app in workspace.apps
        if (app.folder / ".importlinter").is_file()
    ]
    found += [
        Check(f"weight of {app.name}", app, app.folder, ("-c", _WEIGH), (("ENV_FILES", "none"),))
        for app in workspace.apps
    ]
    mypy: tuple[str | Path, ...] = ("-m", "mypy", "--config-file", config)
    for app in workspace.apps:
        found.append(Check(f"types of {app.name}", app, app.folder, (*mypy, "--cache-dir", cache / app.name, ".")))
    own = [name for name in ("dev.py", "devtools", "tests") if _has_python(root / name)]
    command = (*mypy, "--cache-dir", cache / "root", *own)
    # Tests import their neighbours by bare name, as pytest lets them.
    found.append(Check(f"types of {', '.join(own)}", backend, root, command, (("MYPYPATH", "tests"),)))
    ray, service = root / "deploy" / "ray", workspace.llm_service
    if _has_python(ray):
        # Its files import each other by bare name, and the service's when they run inside it.
        path = os.pathsep.join((str(ray), str(service.folder)))
        command = (*mypy, "--cache-dir", cache / "ray", *sorted(ray.glob("*.py")))
        found.append(Check("types of deploy/ray", service, root, command, (("MYPYPATH", path),)))
    for app in workspace.apps:
        # Benchmarks may import the app in whose environment they run, and bench's own files.
        files = [path for path in sorted((root / "bench").rglob("*.py")) if app_of(workspace, path) == app]
        if files:
            command = (*mypy, "--cache-dir", cache / f"bench-{app.name}", *files)
            path = os.pathsep.join((str(root), str(app.folder)))
            found.append(Check(f"types of bench, {app.name}", app, root, command, (("MYPYPATH", path),)))
    return found


def _has_python(path: Path) -> bool:
    return path.is_file() or any(path.glob("**/*.py"))


def run(chosen: Sequence[Check], console: Console, stop: Stop) -> int:
    """Runs every check, also after one has failed; 0 when all passed."""
    failed = []
    for check in chosen:
        console.line(f"== {check.title} ==")
        command = [check.app.python, *check.command]
        if run_in_foreground(command, cwd=check.folder, env=child_environment(dict(check.variables)), stop=stop):
            failed.append(check.title)
    console.line(f"Failed: {', '.join(failed)}" if failed else f"All {len(chosen)} checks passed.")
    if any(title in ("format", "lint") for title in failed):
        console.line("`dev.py check --fix` mends most of what formatter and linter find.")
    return 1 if failed else 0
