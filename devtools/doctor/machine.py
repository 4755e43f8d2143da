"""The doctor on the machine: Python, ports, disk."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator

from devtools import dotenv, ports
from devtools.doctor.findings import Finding, fail, ok, warn
from devtools.doctor.network import fetch
from devtools.errors import DevError
from devtools.layout import App, Workspace
from devtools.setup import interpreters
from devtools.setup.environments import GIGABYTE, NEEDED_GB_PER_APP, why_unmade


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
        subject = f"port {port}"
        if ports.is_free(host, port):
            return ok(subject, f"free for {app.name}")
    except DevError as fault:
        return fail(f"port of {app.name}", fault.message, fault.remedy.replace("\n", " "))
    who = ports.holder(port) or "a program that cannot be identified"
    if fetch(f"{ports.local_url(host, port)}/livez").status == 200:
        return ok(subject, f"{who} answers there like a running {app.name}")
    return fail(subject, f"taken by {who}", f"stop it, or use another port: dev.py up --{app.label}-port {port + 10}")


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
