"""`dev.py model`: passes the command on to the LLM service's own script, in its environment."""

from __future__ import annotations

import argparse
from pathlib import Path

from devtools.environments import Setup, why_unmade
from devtools.errors import DevError
from devtools.processes import child_environment, run_in_foreground

_NAME = "a hub id, owner/name:file.gguf for one file, either with @revision"
SCRIPT = Path("scripts", "models.py")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the same commands and options as the script, so that help needs no environment."""
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", dest="action")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text)

    listing = command("list", "what is on this machine, and what is configured")
    pull = command("pull", "download a model as the service would, and pin its revision; resumes")
    pull.add_argument("--update", action="store_true", help="take the newest revision and move the pin to it")
    info = command("info", "what a model is, what it needs, and which engine serves it")
    removal = command("remove", "take a model out of the Hugging Face cache")
    removal.add_argument("--yes", action="store_true", help="don't ask")
    removal.add_argument("--force", action="store_true", help="also when it is configured now")
    for part in (listing, info):
        part.add_argument("--json", action="store_true", help="as one JSON object")
    for part in (pull, removal):
        part.add_argument("name", metavar="NAME", help=_NAME)
    info.add_argument("name", metavar="NAME", help=f"{_NAME}; also a folder, a .gguf file, or embedded")


def run(options: argparse.Namespace, setup: Setup) -> int:
    """Runs the script; returns its exit status. Installs nothing: models need a set-up service anyway."""
    app = setup.workspace.llm_service
    reason = why_unmade(app)
    if reason:
        raise DevError(f"The environment of {app.name} is not usable: {reason}.", "Run `python dev.py setup` first.")
    flags = [f"--{flag}" for flag in ("json", "update", "yes", "force") if getattr(options, flag, False)]
    names = ["--", _absolute(options.name)] if hasattr(options, "name") else []
    command = [app.python, SCRIPT, options.action, *flags, *names]
    return run_in_foreground(command, cwd=app.folder, env=child_environment(), stop=setup.stop)


def _absolute(name: str) -> str:
    """The script runs in the app's folder, where a relative path would mean another file."""
    return str(Path(name).resolve()) if name and Path(name).exists() else name
