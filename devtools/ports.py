"""Port checks: whether a port is free, and which process holds it."""

from __future__ import annotations

import errno
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from devtools.errors import DevError

LOOPBACK = ("localhost", "127.0.0.1", "::1")
# Windows denies access to a port that another program holds for itself.
_TAKEN = (errno.EADDRINUSE, *((errno.EACCES,) if sys.platform == "win32" else ()))


def reachable_host(host: str) -> str:
    """The address at which this machine reaches a service that listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound


def local_url(host: str, port: int) -> str:
    """The URL at which this machine reaches a service that listens on `host`, without a trailing slash."""
    reachable = reachable_host(host)
    return f"http://{f'[{reachable}]' if ':' in reachable else reachable}:{port}"


def host_of(url: str) -> str:
    """The host that a URL names; empty if it names none."""
    with suppress(ValueError):
        return urlsplit(url).hostname or ""
    return ""


def is_free(host: str, port: int) -> bool:
    """Whether a service could listen on host and port; raises DevError if it could not for another reason.

    Tries binding and connecting, since Windows and macOS allow two sockets to share a port if one
    listens on all addresses and the other on one.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        if sys.platform != "win32":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as fault:
            if fault.errno in _TAKEN:
                return False
            raise DevError(
                f"A service cannot listen on {host}, port {port}: {fault.strerror}.",
                "LLM_SERVICE_HOST and BACKEND_HOST must be addresses of this machine, and ports below 1024 may need\n"
                "an administrator's rights.",
            ) from fault
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((reachable_host(host), port)) != 0


def require_free(host: str, port: int, option: str) -> None:
    """Raises DevError naming the holder when the port is taken. `option` is the flag that changes it."""
    if is_free(host, port):
        return
    who = holder(port)
    raise DevError(
        f"Port {port} is taken{f' by {who}' if who else ''}.",
        f"Stop that program, or choose another port: {option} {port + 10}",
    )


def holder(port: int) -> str:
    """The process that listens on a TCP port, as "name (process 123)"; empty if unknown."""
    with suppress(OSError, subprocess.SubprocessError, ValueError):
        if sys.platform == "win32":
            return _holder_windows(port)
        return _holder_linux(port)
    return ""


def _holder_linux(port: int) -> str:
    inodes = set(_listening_inodes(port))
    for folder in Path("/proc").glob("[0-9]*/fd"):
        with suppress(OSError):  # no access to other users' processes
            links = {os.readlink(entry) for entry in folder.iterdir()}
            if any(f"socket:[{inode}]" in links for inode in inodes):
                command = (folder.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                return f"`{command.strip()[:100]}` (process {folder.parent.name})"
    return ""


def _listening_inodes(port: int) -> Iterator[str]:
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            for row in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                fields = row.split()
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[9]


def _holder_windows(port: int) -> str:
    table = subprocess.run(["netstat", "-ano", "-p", "TCP"], capture_output=True, text=True, timeout=10, check=True)
    # Localised Windows translates the state's name, but a listening socket's peer always has port 0.
    match = re.search(rf"^\s*TCP\s+\S+:{port}\s+\S+:0\s+\S+\s+(\d+)\s*$", table.stdout, re.MULTILINE)
    return f"process {match.group(1)}" if match else ""
