"""The doctor on the configuration: `.env` files, keys, models, the hub, the database."""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from devtools import dotenv
from devtools.dotenv import Problem
from devtools.findings import Finding, fail, ok, warn
from devtools.layout import Workspace

_LIMIT_S = 3.0
_LOOPBACK = ("localhost", "::1", "[::1]")
_DEFAULT_MODEL = "Qwen/Qwen3-1.7B"
_DEFAULT_EMBEDDINGS = "sentence-transformers/all-MiniLM-L6-v2"
# What the OpenVINO engine loads in place of the named model (llm_service/engines/models.py decides).
_STAND_INS = {"Qwen/Qwen3-1.7B": "OpenVINO/Qwen3-1.7B-int4-ov"}


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


def hub_cache(configured: Mapping[str, str]) -> Path:
    """Where huggingface_hub keeps models, by the variables it reads itself."""
    home = configured.get("HF_HOME")
    if not home:
        base = configured.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        home = str(Path(base) / "huggingface")
    return Path(configured.get("HF_HUB_CACHE") or Path(home).expanduser() / "hub").expanduser()


def is_cached(cache: Path, model: str) -> bool:
    """Whether the hub's cache holds a complete-looking snapshot of a model."""
    snapshots = cache / f"models--{model.replace('/', '--')}" / "snapshots"
    return snapshots.is_dir() and any(folder.is_dir() and any(folder.iterdir()) for folder in snapshots.iterdir())


def hub_repository(name: str) -> str | None:
    """The repository that a model's name means: owner/name, owner/name:file.gguf or owner/name/file.gguf,
    each with @revision or without. None for what can only be a path.
    """
    base = name.partition("@")[0]
    if not base.lower().endswith(".gguf"):
        return base if re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", base) else None
    match = re.match(r"(\w[\w.-]*/\w[\w.-]*)[:/]\w", base)
    return match[1] if match else None


def models(workspace: Workspace) -> Iterator[Finding]:
    """Where the models would come from: a file, the cache, the hub, or the embedded ones."""
    app = workspace.llm_service
    configured = dotenv.configuration(workspace, app)
    model = configured.get("LLM_MODEL", _DEFAULT_MODEL)
    embeddings = configured.get("EMBEDDING_MODEL", _DEFAULT_EMBEDDINGS)
    hub_needed = []
    for name in (model, embeddings):
        finding = _model(configured, name, embeddings)
        if finding is None:
            hub_needed.append(name)
        else:
            yield finding
    offline = configured.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")
    reachable = not offline and _hub_is_reachable(configured)
    why = "HF_HUB_OFFLINE is set" if offline else "reachable" if reachable else "cannot be reached"
    for name in hub_needed:
        if reachable:
            yield ok("model", f"{name} will be downloaded on first start (or now: dev.py model pull {name})")
        elif configured.get("LLM_OFFLINE_MODEL", "embedded") == "embedded" and name == model:
            yield warn(
                "model",
                f"{name} is not cached and the model hub {why}: the small embedded model answers instead",
                f"with internet: dev.py model pull {name}; without: copy the cache of a machine that has it, or set "
                "LLM_MODEL=/a/folder",
            )
        else:
            yield fail(
                "model",
                f"{name} is not cached and the model hub {why}",
                "connect to the internet once, copy the cache of a machine that has it, or name a local folder",
            )
    if not hub_needed:
        yield ok("model hub", f"not needed ({why})")


def _model(configured: Mapping[str, str], name: str, embeddings: str) -> Finding | None:
    """A finding when the model is at hand or cannot be, None when the hub has to be asked."""
    path = Path(name).expanduser()
    if name == "embedded":
        return ok("model", "the embedded one")
    if path.exists():
        return ok("model", f"{name} (local)")
    repository = hub_repository(name)
    if repository is None:
        return fail("model", f"{name} does not exist", "correct LLM_MODEL or EMBEDDING_MODEL")
    cache = hub_cache(configured)
    if any(is_cached(cache, known) for known in (repository, _STAND_INS.get(name, name))):
        return ok("model", f"{name} is in {cache}")
    if name == embeddings == _DEFAULT_EMBEDDINGS:
        return ok("model", f"{name} is installed by the set-up")
    return None


def _hub_is_reachable(configured: Mapping[str, str]) -> bool:
    hub = urlsplit(configured.get("HF_ENDPOINT", "https://huggingface.co"))
    proxy = configured.get("HTTPS_PROXY")
    target = urlsplit(proxy) if proxy else hub
    return connects(target.hostname or "", target.port or (443 if target.scheme == "https" else 80))


def connects(host: str, port: int, limit_s: float = _LIMIT_S) -> bool:
    """Whether a TCP connection comes about within the limit.

    In a thread of its own: looking up a name knows no time limit.
    """
    answer: list[bool] = []

    def attempt() -> None:
        try:
            socket.create_connection((host, port), timeout=limit_s).close()
        except (OSError, UnicodeError):
            return
        answer.append(True)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(limit_s)
    return bool(answer)


def database(workspace: Workspace) -> Finding:
    """Whether the configured database can be reached. Never shows the address's password."""
    url = dotenv.configuration(workspace, workspace.backend).get("DATABASE_URL")
    if not url:
        return ok("database", "the embedded Postgres, in .data/")
    mend = "DATABASE_URL=postgresql://USER:PASSWORD@HOST:PORT/NAME; for Supabase: Project Settings, Database"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 5432
    except ValueError:
        return fail("database", "DATABASE_URL is not an address (special characters in the password?)", mend)
    if parts.scheme not in ("postgresql", "postgres") or not host:
        return fail("database", "DATABASE_URL is not a postgresql:// address", mend)
    if not connects(host, port):
        return fail("database", f"{host}:{port} cannot be reached", "check the address, the network and the firewall")
    return ok("database", f"{host}:{port} can be reached (the login is tried when the backend starts)")
