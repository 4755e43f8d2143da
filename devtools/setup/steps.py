"""Steps of a set-up: commands logged to a file, with advice on failure."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from devtools.console import Console
from devtools.errors import DevError, InterruptedByUser
from devtools.processes import child_environment, kill_group, start_in_own_group
from devtools.stopping import Stop

_TAIL_LINES = 20
_HEARTBEAT_S = 30.0
# pip prints this for every package if one of several configured indexes is a folder that lacks it.
_NOISE = re.compile(r"is ignored: it is neither a file nor a directory")

# Advice by pattern in the output of a failed step.
_ADVICE = {
    r"No space left on device|not enough space on the disk|Errno 28": (
        "The disk is full. Free some space (`dev.py doctor` says how much is left); if it is /tmp that is small,\n"
        "set TMPDIR to a folder on a larger disk."
    ),
    r"ensurepip is not available|No module named '?(venv|ensurepip)": (
        "This Python has no venv module. On Debian and Ubuntu: sudo apt install python3-venv"
    ),
    r"CERTIFICATE_VERIFY_FAILED|SSLError|SSL: ": (
        "The connection's certificate could not be verified. Behind a company proxy set PIP_CERT to its\n"
        "certificate file (or `pip config set global.cert FILE`), and check the machine's clock."
    ),
    r"name resolution|getaddrinfo failed|NewConnectionError|Connection refused|Network is unreachable"
    r"|ProxyError|ReadTimeout|Read timed out|ConnectTimeout|Connection reset|IncompleteRead|RemoteDisconnected": (
        "The package index could not be reached. Check the network, and the proxy settings (HTTPS_PROXY) if there\n"
        "is one; then run the same command again: what was downloaded is in pip's cache."
    ),
    # With an unreachable or empty index, pip reports a conflict between a pin and its own constraint.
    r"No matching distribution found|Could not find a version that satisfies|ResolutionImpossible": (
        "pip found no such package: the package index cannot be reached (check the network and HTTPS_PROXY), or a\n"
        "pinned package is not on the index that pip is configured for, or not for this Python or platform.\n"
        "`pip config list` and the PIP_* variables show what pip uses; the apps need a 64-bit Python 3.11 to 3.14."
    ),
    r"WinError 206|filename or extension is too long|HINT: This error might have occurred since this system does": (
        "A path became longer than Windows allows. Move the repository to a shorter one (C:\\src\\bora) or enable\n"
        "long paths in Windows (Settings, System, For developers)."
    ),
    r"Permission denied|WinError 5|Access is denied|WinError 32": (
        "A file could not be written. Close programs that use this environment (a running service, an editor),\n"
        "check who owns the folder, and run the command again."
    ),
    r"DO NOT MATCH THE HASHES|BadZipFile|CRC-32": (
        "A downloaded file is damaged. `pip cache purge`, then run the command again."
    ),
}


@dataclass(frozen=True)
class Step:
    """One command of a set-up, `python -m MODULE arguments` run in `folder`; `what` is shown to the developer."""

    what: str
    python: str | Path
    module: str
    arguments: Sequence[str | Path]
    folder: Path


def has_requirements(path: Path) -> bool:
    """Whether a requirements file is not empty (pip rejects an empty one)."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return any(line.strip() and not line.strip().startswith("#") for line in lines)


def install(what: str, python: Path, folder: Path, *arguments: str | Path) -> Step:
    """`pip install` in an environment. The developer's own pip configuration applies.

    Skips byte compilation, which takes more than half of the time (26 of 49 s for the backend): most
    modules are never imported, and the others are compiled on first import.
    """
    options = ("--disable-pip-version-check", "--no-input", "--no-compile", "--progress-bar", "off")
    return Step(what, python, "pip", ("install", *options, *arguments), folder)


def run_step(step: Step, log: Path, console: Console, stop: Stop) -> None:
    """Runs a step, appending its output to `log`; reports its end, and every 30 s that it is still running.

    Raises DevError with the log's last lines and advice on failure, and InterruptedByUser on a stop
    request, after killing the step.
    """
    command = [step.python, "-m", step.module, *step.arguments]
    # PIP_USER and similar settings would install packages outside the environment.
    environment = child_environment({"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"})
    for name in ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT"):
        environment.pop(name, None)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as sink:
        sink.write(f"$ python -m {step.module} {' '.join(map(str, step.arguments))}\n".encode())
        sink.flush()
        begun = sink.tell()
        process = start_in_own_group(command, cwd=step.folder, env=environment, stdout=sink)
        started = said = time.monotonic()
        while process.poll() is None:
            if stop.wait(0.1):
                kill_group(process)
            elif time.monotonic() - said > _HEARTBEAT_S:
                said = time.monotonic()
                if not console.interactive:
                    console.line(f"... {step.what} ({said - started:.0f} s)")
            else:
                console.status(step.what, f"{step.what} ({time.monotonic() - started:.0f} s)")
        console.status(step.what)
    if stop.requested:
        raise InterruptedByUser(stop.signum)
    if process.returncode:
        raise _failure(step, log, begun)
    console.line(f"{step.what}: done in {time.monotonic() - started:.0f} s")


def _failure(step: Step, log: Path, begun: int) -> DevError:
    with log.open("rb") as source:
        source.seek(begun)
        lines = [line for line in source.read().decode("utf-8", "replace").splitlines() if not _NOISE.search(line)]
    tail = lines[-_TAIL_LINES:]
    shown = "\n".join(f"    {line}" for line in tail)
    return DevError(
        f"`python -m {step.module}` failed; the last lines of {log}:\n{shown}", advice("\n".join(lines[-200:]))
    )


def advice(output: str) -> str:
    """Advice on a failed step, derived from its output."""
    for pattern, remedy in _ADVICE.items():
        if re.search(pattern, output, re.IGNORECASE):
            return remedy
    return "Run the same command again; `dev.py doctor` checks this machine. The log has the details."
