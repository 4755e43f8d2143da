"""The doctor on the configuration: `.env` files, misspelt settings, bad values, keys."""

from __future__ import annotations

import difflib
import os
import re
import subprocess
from collections.abc import Iterable, Iterator

from devtools import dotenv
from devtools.dotenv import Problem
from devtools.environments import why_unmade
from devtools.findings import Finding, fail, ok, warn
from devtools.layout import Workspace
from devtools.processes import child_environment

_LOOPBACK = ("localhost", "::1", "[::1]")
_DOCUMENTED = re.compile(r"^#? ?([A-Z][A-Z0-9_]+)=", re.MULTILINE)
# Names that begin like this mean these apps, whatever they resemble.
_OURS = re.compile(r"^(LLM|EMBED|EMBEDDING|BACKEND|RAG)_")
_SETTINGS_S = 60
# Settings that .env.example leaves out on purpose, and what libraries read for themselves.
_MORE_NAMES = frozenset({
    "APP_NAME", "APP_VERSION", "ENV_FILES", "HF_ENDPOINT", "HF_HUB_CACHE", "XDG_CACHE_HOME", "HTTP_PROXY",
    "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "TRANSFORMERS_OFFLINE",
})  # fmt: skip


def env_files(workspace: Workspace) -> Iterator[Finding]:
    """Whether every line of the `.env` files can be understood."""
    paths = dict.fromkeys(path for app in workspace.apps for path in dotenv.files_for(workspace, app))
    if not paths:
        yield ok(".env", "there is none; the defaults apply (.env.example lists everything)")
    for path in paths:
        problems: list[Problem] = []
        values = dotenv.parse(path, problems)
        name = os.path.relpath(path, workspace.root)
        for problem in problems:
            yield fail(name, f"line {problem.line} {problem.what}", "write NAME=value, one a line, as in .env.example")
        if not problems:
            yield ok(name, f"{len(values)} settings{_strangers(workspace, values)}")
        yield from _misspelt(workspace, values, name)
    # Of the environment only what begins like a setting: the rest is other programs' business.
    yield from _misspelt(workspace, filter(_OURS.match, map(str.upper, os.environ)), "the environment")


def known_names(workspace: Workspace) -> set[str]:
    """Every setting there is: .env.example lists them, and a test holds it against the apps' own settings."""
    try:
        text = (workspace.root / ".env.example").read_text(encoding="utf-8")
    except OSError:
        return set()
    return {*_DOCUMENTED.findall(text), *_MORE_NAMES}


def nearest(name: str, known: Iterable[str]) -> str:
    """The setting that an unknown name was probably meant to be; empty when none is like it."""
    return next(iter(difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.8)), "")


def _misspelt(workspace: Workspace, names: Iterable[str], place: str) -> Iterator[Finding]:
    known = known_names(workspace)
    for name in sorted(set(names) - known) if known else ():
        meant = nearest(name, known)
        if meant:
            yield warn(place, f"{name} is no setting, so it does nothing", f"is {meant} meant?")
        elif _OURS.match(name):
            yield warn(place, f"{name} is no setting, so it does nothing", ".env.example lists every setting")


def _strangers(workspace: Workspace, values: Iterable[str]) -> str:
    known = known_names(workspace)
    others = [name for name in values if name not in known and not _OURS.match(name) and not nearest(name, known)]
    return f"; not for these apps: {', '.join(sorted(others))}" if known and others else ""


def settings(workspace: Workspace) -> Iterator[Finding]:
    """Whether each app accepts its configuration: it is asked itself, and names what it refuses."""
    for app in workspace.apps:
        if not (app.folder / "config" / "settings.py").is_file() or why_unmade(app):
            continue
        subject = f"settings of {app.name}"
        try:
            done = subprocess.run(
                [str(app.python), "-c", "import config.settings"],
                cwd=app.folder, env=child_environment(), timeout=_SETTINGS_S,
                capture_output=True, text=True, encoding="utf-8", errors="replace", check=False,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as fault:
            yield fail(subject, f"cannot be read: {type(fault).__name__}", "dev.py setup --fresh")
            continue
        lines = done.stderr.strip().splitlines()
        if done.returncode == 0:
            yield ok(subject, "accepted")
        elif lines and lines[-1].lower().startswith("configuration error"):
            yield fail(subject, lines[-1].partition(":")[2].strip(), "correct it in .env or the environment")
        else:
            yield fail(subject, lines[-1] if lines else "cannot be read", "dev.py setup --fresh")


def keys(workspace: Workspace) -> Iterator[Finding]:
    """Whether a service that others can reach has a key."""
    for app in workspace.apps:
        configured = dotenv.configuration(workspace, app)
        host = configured.get(app.host_variable, "127.0.0.1")
        key = f"{app.host_variable.removesuffix('_HOST')}_API_KEY"
        if host in _LOOPBACK or host.startswith("127."):
            yield ok(f"access to {app.name}", "from this machine only")
        elif key in configured:
            yield ok(f"access to {app.name}", f"from other machines ({host}), with a key")
        else:
            yield fail(
                f"access to {app.name}",
                f"{app.host_variable}={host} lets other machines in, and there is no {key}: it will refuse to start",
                f"set {key} (python -c 'import secrets; print(secrets.token_urlsafe())') or drop {app.host_variable}",
            )
