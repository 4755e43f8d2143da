"""The doctor on the machine: Python, ports, disk, memory, processor."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from devtools import dotenv, ports
from devtools.doctor.findings import Finding, fail, ok, warn
from devtools.doctor.network import fetch
from devtools.errors import DevError
from devtools.layout import App, Workspace
from devtools.setup import interpreters
from devtools.setup.environments import GIGABYTE, NEEDED_GB_PER_APP, why_unmade

_LEAN_GB = 2.0
_COMFORTABLE_GB = 6.0
_SPEEDY_FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")


def python() -> Finding:
    """Whether there is a Python for the apps."""
    mine = ".".join(map(str, sys.version_info[:3]))
    try:
        found = interpreters.find()
    except DevError as fault:
        return fail("Python", fault.message, fault.remedy.replace("\n", " "))
    return ok("Python", f"dev.py runs on {mine}; the apps get {found}")


def open_ports(workspace: Workspace) -> Iterator[Finding]:
    """Whether the configured ports are free, or held by the service that belongs there."""
    for app in workspace.apps:
        yield _port(workspace, app)


def _port(workspace: Workspace, app: App) -> Finding:
    try:
        host, port = dotenv.address(workspace, app)
    except DevError as fault:
        return fail(f"port of {app.name}", fault.message, fault.remedy)
    subject = f"port {port}"
    if ports.is_free(host, port):
        return ok(subject, f"free for {app.name}")
    who = ports.holder(port) or "a program that cannot be identified"
    if fetch(f"http://{_in_url(ports.reachable_host(host))}:{port}/livez").status == 200:
        return ok(subject, f"{who} answers there like a running {app.name}")
    return fail(subject, f"taken by {who}", f"stop it, or use another port: dev.py up --{app.label}-port {port + 10}")


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def disk(workspace: Workspace) -> Finding:
    """Whether environments and models still fit."""
    free = shutil.disk_usage(workspace.root).free / GIGABYTE
    needed = NEEDED_GB_PER_APP * sum(1 for app in workspace.apps if why_unmade(app))
    remedy = "free some space; the environments take 3 GB each, the default model about 1.5 GB"
    if free < needed or free < 1:
        return fail("disk", f"{free:.1f} GB free, {max(needed, 1):.0f} GB needed", remedy)
    if free < needed + 2:
        return warn("disk", f"{free:.1f} GB free", remedy)
    return ok("disk", f"{free:.0f} GB free")


def memory() -> Finding:
    """Whether the models fit into memory."""
    total = total_memory_gb()
    if total is None:
        return warn("memory", "its size is unknown", f"{_COMFORTABLE_GB:.0f} GB are enough for the default model")
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
    with suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        match = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", text, re.MULTILINE)
        return set(match.group(1).split()) if match else None
    return None
