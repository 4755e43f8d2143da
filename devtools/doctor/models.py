"""The doctor on the models: on this machine, available from the hub, small enough for the memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from devtools import dotenv
from devtools.commands.models import SCRIPT
from devtools.doctor.findings import Finding, ask_python, fail, ok, warn
from devtools.doctor.network import fetch
from devtools.layout import Workspace
from devtools.setup.environments import GIGABYTE, why_unmade

# Both apps' processes, the embedder, and an engine's memory beside weights and KV cache.
_AROUND_GB = 0.8
_ABSENT = "not on this machine"
# The service knows the limit of its container, too.
_MEMORY = "import json; from models.hardware import memory_bytes; print(json.dumps({'bytes': memory_bytes()}))"


def models(workspace: Workspace) -> Iterator[Finding]:
    """Whether the files of each configured model are here or can be fetched, and whether memory suffices."""
    if why_unmade(workspace.llm_service):
        yield ok("models", "examined once the LLM service's environment is made")
        return
    configured = ask_python(workspace.llm_service, SCRIPT, "list", "--json").get("configured")
    if not isinstance(configured, dict):
        yield fail("models", "the LLM service's own script cannot list them", "dev.py model list")
        return
    settings = dotenv.configuration(workspace, workspace.llm_service)
    for setting, behind in configured.items():
        name, path, problem = behind["name"], behind.get("path"), behind.get("problem") or ""
        if path:
            yield ok(setting, f"{name}: {path}, loaded by {behind['engine']}")
            if setting == "LLM_MODEL":
                yield from _memory(workspace, name, behind["engine"])
        elif problem.startswith(_ABSENT):
            yield _to_fetch(settings, setting, name)
        elif "_BACKEND=" in problem:
            yield ok(setting, problem)
        else:
            yield fail(setting, f"{name}: {problem}", f"correct {setting}, or fetch the files again: dev.py model pull")


def _to_fetch(settings: Mapping[str, str], setting: str, name: str) -> Finding:
    """A model that the hub has to provide."""
    offline = settings.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")
    if not offline and fetch(settings.get("HF_ENDPOINT", "https://huggingface.co"), through_proxy=True).status:
        return ok(setting, f"{name} is downloaded at the first start (or now: dev.py model pull)")
    why = "HF_HUB_OFFLINE is set" if offline else "the model hub cannot be reached"
    remedy = "with internet: dev.py model pull NAME; without: copy the cache of a machine that has it, or name a folder"
    if setting == "LLM_MODEL" and settings.get("LLM_OFFLINE_MODEL", "embedded") == "embedded":
        return warn(setting, f"{name} is {_ABSENT} and {why}: the small embedded model answers instead", remedy)
    return fail(setting, f"{name} is {_ABSENT} and {why}", remedy)


def _memory(workspace: Workspace, name: str, engine: str) -> Iterator[Finding]:
    details = ask_python(workspace.llm_service, SCRIPT, "--json", "info", "--", name)
    needed_bytes = (details.get("memory_bytes") or {}).get(engine)
    if needed_bytes:
        needed = needed_bytes / GIGABYTE + _AROUND_GB
        total = ask_python(workspace.llm_service, "-c", _MEMORY).get("bytes", 0) / GIGABYTE
        seen = f"{name} needs about {needed:.1f} GB, this machine has {total:.1f} GB"
        remedy = "a smaller model or export, less memory for the KV cache, a smaller batch, or more memory"
        subject = "memory for the model"
        yield ok(subject, seen) if needed <= total else fail(subject, seen, remedy)
