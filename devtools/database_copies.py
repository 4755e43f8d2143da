"""`dev.py backup` and `dev.py restore`: the backend's own script, in its environment."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from devtools.environments import Setup, ensure
from devtools.processes import child_environment, run_in_foreground

SCRIPT = Path("scripts", "backup.py")
_Declare = Callable[[str, Callable[[argparse.Namespace, Setup], int], str], argparse.ArgumentParser]


def add_arguments(command: _Declare) -> None:
    """Declares both commands."""
    saving = command("backup", _backup, "save the backend's documents and vectors to a file")
    restoring = command("restore", _restore, "put the documents of a backup into the backend's database")
    restoring.add_argument("--replace", action="store_true", help="give up the documents that are there now")
    for part in (saving, restoring):
        part.add_argument("file", metavar="FILE", type=Path)


def _backup(options: argparse.Namespace, setup: Setup) -> int:
    return _run(setup, "save", options.file)


def _restore(options: argparse.Namespace, setup: Setup) -> int:
    return _run(setup, "restore", options.file, *(["--replace"] if options.replace else []))


def _run(setup: Setup, action: str, file: Path, *flags: str) -> int:
    backend = setup.workspace.backend
    ensure(setup, [backend])
    # The script runs in backend/, where a relative name would mean another file.
    command: list[str | Path] = [backend.python, SCRIPT, action, *flags, "--", file.resolve()]
    return run_in_foreground(command, cwd=backend.folder, env=child_environment(), stop=setup.stop)
