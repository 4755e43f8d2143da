"""The doctor on the configuration: `.env` files, misspelt settings, bad values."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Iterator

from devtools import dotenv
from devtools.doctor.findings import Finding, fail, ok, run_python, warn
from devtools.dotenv import Problem
from devtools.layout import Workspace
from devtools.setup.environments import why_unmade

_DOCUMENTED = re.compile(r"^#? ?([A-Z][A-Z0-9_]+)=", re.MULTILINE)
# Names that begin like this can only mean these apps.
_OURS = re.compile(r"^(LLM|EMBED|EMBEDDING|BACKEND|RAG)_")
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
            yield ok(name, f"{len(values)} settings")
        yield from _misspelt(workspace, values, name)
    # Only variables whose names begin like a setting: others belong to other programs.
    yield from _misspelt(workspace, filter(_OURS.match, map(str.upper, os.environ)), "the environment")


def _known_names(workspace: Workspace) -> set[str]:
    """Every setting there is: .env.example lists them, and a test holds it against the apps' own settings."""
    try:
        text = (workspace.root / ".env.example").read_text(encoding="utf-8")
    except OSError:
        return set()
    return {*_DOCUMENTED.findall(text), *_MORE_NAMES}


def _misspelt(workspace: Workspace, names: Iterable[str], place: str) -> Iterator[Finding]:
    known = _known_names(workspace)
    for name in sorted(set(names) - known) if known else ():
        meant = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.8)
        if meant or _OURS.match(name):
            remedy = f"is {meant[0]} meant?" if meant else ".env.example lists every setting"
            yield warn(place, f"{name} is not a setting, so it has no effect", remedy)


def settings(workspace: Workspace) -> Iterator[Finding]:
    """Whether each app accepts its configuration: it is asked itself, and names what it refuses."""
    for app in workspace.apps:
        if not (app.folder / "config" / "settings.py").is_file() or why_unmade(app):
            continue
        subject = f"settings of {app.name}"
        done = run_python(app, "-c", "import config.settings")
        if done is None:
            yield fail(subject, "cannot be read", "dev.py setup --fresh")
            continue
        lines = done.stderr.strip().splitlines()
        if done.returncode == 0:
            yield ok(subject, "accepted")
        elif lines and lines[-1].lower().startswith("configuration error"):
            yield fail(subject, lines[-1].partition(":")[2].strip(), "correct it in .env or the environment")
        else:
            yield fail(subject, lines[-1] if lines else "cannot be read", "dev.py setup --fresh")
