"""The doctor on the models: on this machine and whole, to be had from the hub, small enough for the memory."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from devtools import doctor_upstream, dotenv
from devtools.doctor_machine import available_memory_gb, total_memory_gb
from devtools.doctor_network import connects
from devtools.environments import GIGABYTE, why_unmade
from devtools.findings import Finding, fail, ok, warn
from devtools.layout import Workspace
from devtools.models import SCRIPT
from devtools.processes import child_environment

_DEFAULT_EMBEDDINGS = "sentence-transformers/all-MiniLM-L6-v2"
# What the OpenVINO engine loads in place of the named model (llm_service/engines/models.py decides).
_STAND_INS = {"Qwen/Qwen3-1.7B": "OpenVINO/Qwen3-1.7B-int4-ov"}
_SCRIPT_S = 60
# Both apps' processes, the embedder and what an engine takes beside weights and KV cache.
_AROUND_GB = 0.8


def hub_cache(configured: Mapping[str, str]) -> Path:
    """Where huggingface_hub keeps models, by the variables it reads itself."""
    home = configured.get("HF_HOME")
    if not home:
        base = configured.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        home = str(Path(base) / "huggingface")
    return Path(configured.get("HF_HUB_CACHE") or Path(home).expanduser() / "hub").expanduser()


def is_cached(cache: Path, model: str) -> bool:
    """Whether the hub's cache holds a complete-looking snapshot of a model: files, and no link to one that is away."""
    snapshots = cache / f"models--{model.replace('/', '--')}" / "snapshots"
    found = [list(folder.rglob("*")) for folder in snapshots.glob("*/")]
    return any(paths and all(path.exists() for path in paths) for paths in found)


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
    """Where each model would come from, whether its files are whole, and whether the memory is enough for it."""
    configured = dotenv.configuration(workspace, workspace.llm_service)
    model = configured.get("LLM_MODEL", doctor_upstream.DEFAULT_MODEL)
    embeddings = configured.get("EMBEDDING_MODEL", _DEFAULT_EMBEDDINGS)
    told = _ask(workspace, "list").get("configured", {})
    wanted = []
    # With an upstream the model of the answers is that server's (devtools/doctor_upstream.py).
    mine = () if doctor_upstream.is_used(configured) else (("LLM_MODEL", model),)
    for setting, name in (*mine, ("EMBEDDING_MODEL", embeddings)):
        behind = told.get(setting) or {}
        finding = _model(configured, name, embeddings)
        if finding is None and not behind.get("path"):
            yield from _half_fetched(configured, name)
            wanted.append(name)
        elif behind.get("path"):
            yield ok("model", f"{name}: {behind['path']}, loaded by {behind['engine']}")
            if setting == "LLM_MODEL":
                yield from _memory(workspace, name, behind["engine"])
        elif behind.get("problem") and finding and finding.verdict == "ok" and "=fake" not in behind["problem"]:
            mend = f"dev.py model info {name}; correct {setting}, or fetch the files again"
            yield fail("model", f"{name}: {behind['problem']}", mend)
        elif finding:
            yield finding
    yield from _hub(configured, model, wanted)


def _hub(configured: Mapping[str, str], model: str, wanted: list[str]) -> Iterator[Finding]:
    offline = configured.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")
    reachable = not offline and _hub_is_reachable(configured)
    why = "HF_HUB_OFFLINE is set" if offline else "reachable" if reachable else "cannot be reached"
    for name in wanted:
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
    if not wanted:
        yield ok("model hub", f"not needed ({why})")


def _half_fetched(configured: Mapping[str, str], name: str) -> Iterator[Finding]:
    """Names a download that was broken off: parts of files, or links to files that are not there."""
    repository = hub_repository(name) or ""
    for known in dict.fromkeys((repository, _STAND_INS.get(name, repository))):
        folder = hub_cache(configured) / f"models--{known.replace('/', '--')}"
        parts = list(folder.glob("blobs/*.incomplete"))
        dangling = [path for path in folder.glob("snapshots/*/**/*") if path.is_symlink() and not path.exists()]
        if parts or dangling:
            seen = f"{known}: {len(parts) + len(dangling)} of its files in {folder} are not complete"
            yield warn("model", seen, f"dev.py model pull {name} goes on where the download ended")


def _ask(workspace: Workspace, *arguments: str) -> dict[str, Any]:
    """What the service's own `scripts/models.py` says; empty where it cannot be run."""
    app = workspace.llm_service
    if not (app.folder / SCRIPT).is_file() or why_unmade(app):
        return {}
    action, *names = arguments
    command = [str(app.python), str(SCRIPT), action, "--json", *(["--", *names] if names else [])]
    try:
        done = subprocess.run(
            command, cwd=app.folder, env=child_environment(), timeout=_SCRIPT_S,
            capture_output=True, text=True, encoding="utf-8", errors="replace", check=True,
        )  # fmt: skip
        answers = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return {}
    return answers if isinstance(answers, dict) else {}


def _memory(workspace: Workspace, name: str, engine: str) -> Iterator[Finding]:
    needed_bytes = (_ask(workspace, "info", name).get("memory_bytes") or {}).get(engine)
    if needed_bytes:
        yield judge_memory(name, needed_bytes / GIGABYTE + _AROUND_GB, total_memory_gb(), available_memory_gb())


def judge_memory(name: str, needed: float, total: float | None, available: float | None) -> Finding:
    """Whether a model's need (weights, KV cache and the rest, in GB) is met by this machine's memory."""
    seen = f"{name} needs about {needed:.1f} GB"
    if total is not None and needed > total:
        mend = "a smaller model or export, less LLM_KV_CACHE_GB or LLM_MAX_BATCH, or more memory"
        return fail("memory for the model", f"{seen}, this machine has {total:.1f} GB", mend)
    if available is not None and needed > available:
        mend = "stop other programs (or nothing, when this service is running already)"
        return warn("memory for the model", f"{seen}, {available:.1f} GB are free now", mend)
    return ok("memory for the model", seen)


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
