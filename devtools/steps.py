"""Steps of a set-up: a command whose output goes to a log file, and what to do when one fails."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from devtools.errors import DevError, InterruptedByUser
from devtools.processes import child_environment, kill_group, start_in_own_group
from devtools.stopping import Stop

_LIFELINE = Path(__file__).with_name("lifeline.py")
_TAIL_LINES = 20
# pip says this for every package when one of several configured indexes is a folder without it.
_NOISE = re.compile(r"is ignored: it is neither a file nor a directory")


class _Advice(NamedTuple):
    """What to do when a failed step's output matches a pattern."""

    pattern: str
    mend: str


_ADVICE = (
    _Advice(
        r"No space left on device|not enough space on the disk|Errno 28",
        "The disk is full. Free some space (`dev.py doctor` says how much is left); if it is /tmp that is small,\n"
        "set TMPDIR to a folder on a larger disk.",
    ),
    _Advice(
        r"ensurepip is not available|No module named '?(venv|ensurepip)",
        "This Python has no venv module. On Debian and Ubuntu: sudo apt install python3-venv",
    ),
    _Advice(
        r"CERTIFICATE_VERIFY_FAILED|SSLError|SSL: ",
        "The connection's certificate could not be verified. Behind a company proxy set PIP_CERT to its\n"
        "certificate file (or `pip config set global.cert FILE`), and check the machine's clock.",
    ),
    _Advice(
        r"name resolution|getaddrinfo failed|NewConnectionError|Connection refused|Network is unreachable"
        r"|ProxyError|ReadTimeout|Read timed out|ConnectTimeout|Connection reset|IncompleteRead|RemoteDisconnected",
        "The package index could not be reached. Check the network, and the proxy settings (HTTPS_PROXY) if there\n"
        "is one; then run the same command again: what was downloaded is in pip's cache.",
    ),
    _Advice(
        # With an index that gives nothing pip speaks of a conflict between a pin and its own constraint.
        r"No matching distribution found|Could not find a version that satisfies|ResolutionImpossible",
        "pip found no such package: the package index cannot be reached (check the network and HTTPS_PROXY), or a\n"
        "pinned package is not on the index that pip is configured for, or not for this Python or platform.\n"
        "`pip config list` and the PIP_* variables show what pip uses; the apps need a 64-bit Python 3.11 to 3.14.",
    ),
    _Advice(
        r"WinError 206|filename or extension is too long|HINT: This error might have occurred since this system does",
        "A path became longer than Windows allows. Move the repository to a shorter one (C:\\src\\bora) or enable\n"
        "long paths in Windows (Settings, System, For developers).",
    ),
    _Advice(
        r"Permission denied|WinError 5|Access is denied|WinError 32",
        "A file could not be written. Close programs that use this environment (a running service, an editor),\n"
        "check who owns the folder, and run the command again.",
    ),
    _Advice(
        r"DO NOT MATCH THE HASHES|BadZipFile|CRC-32",
        "A downloaded file is damaged. `pip cache purge`, then run the command again.",
    ),
)


@dataclass(frozen=True)
class Step:
    """One command of a set-up: `python -m MODULE arguments`, run in `folder`."""

    python: str | Path
    module: str
    arguments: Sequence[str | Path]
    folder: Path


def has_requirements(path: Path) -> bool:
    """Whether a requirements file asks for anything (pip refuses an empty one)."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return any(line.strip() and not line.strip().startswith("#") for line in lines)


def install(python: Path, folder: Path, *arguments: str | Path) -> Step:
    """`pip install` in an environment. The developer's own pip configuration stays in force.

    Without compiling: that takes longer than everything else together (26 of 49 s for the backend),
    and most modules are never imported; those that are get compiled on first import.
    """
    options = ("--disable-pip-version-check", "--no-input", "--no-compile", "--progress-bar", "off")
    return Step(python, "pip", ("install", *options, *arguments), folder)


def run_step(step: Step, log: Path, stop: Stop, on_line: Callable[[str], None] | None = None) -> None:
    """Runs a step, its output appended to `log` and handed to `on_line` line by line.

    Raises DevError with the log's last lines and what to do when it fails, InterruptedByUser when
    asked to stop (the step is killed first).
    """
    command = [step.python, _LIFELINE, step.module, *step.arguments]
    # PIP_USER and the like would send packages elsewhere than into the environment.
    environment = child_environment({"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"})
    for name in ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT"):
        environment.pop(name, None)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as sink:
        sink.write(f"$ python -m {step.module} {' '.join(map(str, step.arguments))}\n".encode())
        sink.flush()
        begun = sink.tell()
        process = start_in_own_group(command, cwd=step.folder, env=environment, stdout=sink, stdin=subprocess.PIPE)
        try:
            for line in _follow(log, begun, process, stop):
                if on_line:
                    on_line(line)
        finally:
            if process.poll() is None:
                kill_group(process)
            if process.stdin:
                process.stdin.close()
    if stop.requested:
        raise InterruptedByUser(stop.signum)
    if process.returncode:
        raise _failure(step, log, begun)


def _follow(log: Path, begun: int, process: subprocess.Popen[bytes], stop: Stop) -> Iterator[str]:
    with log.open("rb") as source:
        source.seek(begun)
        rest = b""
        while True:
            ended = process.poll() is not None
            *lines, rest = (rest + source.read()).split(b"\n")
            for line in lines:
                yield line.decode("utf-8", "replace")
            if ended or stop.wait(0.1):
                return


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
    """What to do about a failed step, judged by its output."""
    for known in _ADVICE:
        if re.search(known.pattern, output, re.IGNORECASE):
            return known.mend
    return "Run the same command again; `dev.py doctor` checks this machine. The log has the details."
