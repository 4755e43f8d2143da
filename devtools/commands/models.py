"""`dev.py model`: runs the LLM service's model script in the service's environment."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from devtools.processes import child_environment, run_in_foreground
from devtools.setup.environments import Setup, require

_NAME = "a hub id, owner/name:file.gguf for one file, either with @revision"
SCRIPT = Path("scripts", "models.py")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the script's commands and options here too, so that help needs no environment."""
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", dest="action")
    listing = commands.add_parser("list", help="what is on this machine, and what is configured")
    info = commands.add_parser("info", help="what a model is, what it needs, and which engine serves it")
    pull = commands.add_parser("pull", help="download a model as the service would, and pin its revision; resumes")
    removal = commands.add_parser("remove", help="names the command that removes a model (hf cache rm)")
    pull.add_argument("--update", action="store_true", help="take the newest revision and move the pin to it")
    for part in (listing, info):
        part.add_argument("--json", action="store_true", help="as one JSON object")
    for part in (pull, removal):
        part.add_argument("name", metavar="NAME", help=_NAME)
    info.add_argument("name", metavar="NAME", help=f"{_NAME}; also a folder, a .gguf file, or embedded")


def run(options: argparse.Namespace, setup: Setup) -> int:
    """Runs the script; returns its exit status. Requires a completed set-up of the service."""
    app = setup.workspace.llm_service
    if options.action == "remove":
        own = Path(app.python).parent / "hf"
        sys.stderr.write(f"Models are removed with the hub's own command: {own} cache rm model/OWNER/NAME\n")
        return 2
    require(app)
    flags = [f"--{flag}" for flag in ("json", "update") if getattr(options, flag, False)]
    names = ["--", _absolute(options.name)] if hasattr(options, "name") else []
    # Flags first: argparse takes an optional name for left out where a flag precedes it.
    command = [app.python, SCRIPT, *flags, options.action, *names]
    return run_in_foreground(command, cwd=app.folder, env=child_environment(), stop=setup.stop)


def _absolute(name: str) -> str:
    """Makes a path absolute, since the script runs in the app's folder."""
    return str(Path(name).resolve()) if name and Path(name).exists() else name
