"""The doctor on the machine: Python, environments, ports, disk, memory, processor."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

from devtools import dotenv, interpreters, ports
from devtools.environments import GIGABYTE, NEEDED_GB_PER_APP, is_current, why_unmade
from devtools.errors import DevError
from devtools.findings import Finding, fail, ok, warn
from devtools.layout import App, Workspace
from devtools.processes import child_environment

_LEAN_GB = 2.0
_COMFORTABLE_GB = 6.0
_SPEEDY_FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")
_GPU_QUESTION = (
    "import torch,json;print(json.dumps({'built': torch.version.cuda, 'usable': torch.cuda.is_available(),"
    "'version': torch.__version__}))"
)


def python() -> Finding:
    """Whether there is a Python for the apps."""
    mine = ".".join(map(str, sys.version_info[:3]))
    try:
        found = interpreters.find()
    except DevError as fault:
        return fail("Python", fault.message, fault.mend.replace("\n", " "))
    return ok("Python", f"dev.py runs on {mine}; the apps get {found}")


def environments(workspace: Workspace) -> Iterator[Finding]:
    """Whether both environments are complete and current."""
    for app in workspace.apps:
        subject = f"environment of {app.name}"
        reason = why_unmade(app)
        if reason:
            yield warn(subject, f"not usable: {reason}", "dev.py setup (`dev.py up` does it, too)")
        elif not is_current(app):
            yield warn(subject, "its requirements have changed", "dev.py setup (`dev.py up` does it, too)")
        else:
            tests = "" if is_current(app, dev=True) else "; what tests need is not installed yet"
            yield ok(subject, f"complete{tests}")


def open_ports(workspace: Workspace) -> Iterator[Finding]:
    """Whether the configured ports are free, or held by the service that belongs there."""
    for app in workspace.apps:
        configured = dotenv.configuration(workspace, app)
        host = configured.get(app.host_variable, "127.0.0.1")
        text = configured.get(app.port_variable, str(app.default_port))
        if not text.isdecimal() or not 1 <= int(text) <= 65535:
            yield fail(f"port of {app.name}", f"{app.port_variable}={text}", "set it to a number from 1 to 65535")
            continue
        yield _port(app, host, int(text))


def _port(app: App, host: str, port: int) -> Finding:
    subject = f"port {port}"
    if ports.is_free(host, port):
        return ok(subject, f"free for {app.name}")
    who = ports.holder(port) or "a program that cannot be identified"
    if _is_live(ports.reachable_host(host), port):
        return ok(subject, f"{who} answers there like a running {app.name}")
    return fail(subject, f"taken by {who}", f"stop it, or use another port: dev.py up --{app.label}-port {port + 10}")


def _is_live(host: str, port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with (
        suppress(urllib.error.URLError, HTTPException, OSError),
        opener.open(f"http://{host}:{port}/livez", timeout=2) as answer,
    ):
        return bool(answer.status == 200)
    return False


def disk(workspace: Workspace) -> Finding:
    """Whether environments and models still fit."""
    free = shutil.disk_usage(workspace.root).free / GIGABYTE
    needed = NEEDED_GB_PER_APP * sum(1 for app in workspace.apps if why_unmade(app))
    mend = "free some space; the environments take 3 GB each, the default model about 1.5 GB"
    if free < needed or free < 1:
        return fail("disk", f"{free:.1f} GB free, {max(needed, 1):.0f} GB needed", mend)
    if free < needed + 2:
        return warn("disk", f"{free:.1f} GB free", mend)
    return ok("disk", f"{free:.0f} GB free")


def memory() -> Finding:
    """Whether the models fit into memory."""
    total = total_memory_gb()
    if total is None:
        return warn(
            "memory", "its size could not be found out", f"{_COMFORTABLE_GB:.0f} GB are enough for the default model"
        )
    if total < _LEAN_GB:
        return fail("memory", f"{total:.1f} GB", "2 GB are the least for the embedded model: LLM_MODEL=embedded")
    if total < _COMFORTABLE_GB:
        return warn("memory", f"{total:.1f} GB, tight for the default model", "LLM_MODEL=embedded needs 1.2 GB")
    return ok("memory", f"{total:.0f} GB")


def total_memory_gb() -> float | None:
    """Memory of this machine, or of the container's limit when that is less, in GB."""
    return _windows_memory_gb() if sys.platform == "win32" else _posix_memory_gb()


def _posix_memory_gb() -> float | None:
    ask: Callable[[str], int] = getattr(os, "sysconf")  # noqa: B009 - absent on Windows, and from its types
    try:
        total = ask("SC_PAGE_SIZE") * ask("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            total = min(total, int(Path(name).read_text(encoding="ascii")))
    return total / GIGABYTE


def _windows_memory_gb() -> float | None:
    class Status(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ulong), ("load", ctypes.c_ulong)] + [
            (name, ctypes.c_ulonglong) for name in ("total", "free", "tp", "fp", "tv", "fv", "ev")
        ]

    status = Status()
    status.length = ctypes.sizeof(Status)
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009 - the attribute exists on Windows only
    return float(status.total) / GIGABYTE if kernel.GlobalMemoryStatusEx(ctypes.byref(status)) else None


def processor() -> Finding:
    """Which of the instruction sets that decide the engines' speed this processor has."""
    cores = os.cpu_count() or 1
    machine = platform.machine()
    features = _cpu_features()
    if features is None:
        return ok("processor", f"{cores} cores, {machine}; instruction sets unknown on this system")
    found = [name for name in _SPEEDY_FEATURES if name in features]
    if machine.lower() in ("x86_64", "amd64") and "avx2" not in found:
        return warn(
            "processor", f"{cores} cores without AVX2", "answers will be slow; use a processor of 2014 or later"
        )
    return ok("processor", f"{cores} cores, {machine}{', ' + ', '.join(found) if found else ''}")


def _cpu_features() -> set[str] | None:
    if sys.platform == "linux":
        with suppress(OSError):
            text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
            match = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", text, re.MULTILINE)
            return set(match.group(1).split()) if match else None
    if sys.platform == "darwin":
        with suppress(OSError, subprocess.SubprocessError):
            keys = ["machdep.cpu.features", "machdep.cpu.leaf7_features"]
            text = subprocess.run(
                ["sysctl", "-n", *keys], capture_output=True, text=True, timeout=5, check=False
            ).stdout
            return set(text.lower().split())
    return None


def graphics(workspace: Workspace) -> Finding:
    """Whether PyTorch is the build for this machine (one for CUDA takes 5 GB more than one without)."""
    app = workspace.llm_service
    if why_unmade(app):
        return ok("PyTorch", "not installed yet")
    try:
        answer = subprocess.run(
            [app.python, "-c", _GPU_QUESTION],
            capture_output=True, text=True, timeout=120, check=True, env=child_environment(),
        )  # fmt: skip
        torch = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return fail("PyTorch", "cannot be imported", "dev.py setup --fresh")
    version = torch["version"]
    if torch["usable"]:
        return ok("PyTorch", f"{version}, and a GPU it can use")
    if torch["built"] and not shutil.which("nvidia-smi"):
        return warn(
            "PyTorch",
            f"{version} is a build for CUDA, and there is no GPU: it works, and takes 5 GB more than needed",
            "point PIP_EXTRA_INDEX_URL at PyTorch's CPU builds (README, Installation); then dev.py setup --fresh",
        )
    if torch["built"]:
        return warn("PyTorch", f"{version} cannot use this machine's GPU", "update the NVIDIA driver (`nvidia-smi`)")
    return ok("PyTorch", f"{version}, for the processor")
