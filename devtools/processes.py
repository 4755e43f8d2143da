"""Starting, monitoring and stopping child processes, including their descendants."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from devtools.stopping import Stop

# Variables that would make a child load modules of another Python installation.
_FOREIGN = ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "__PYVENV_LAUNCHER__", "VIRTUAL_ENV", "CONDA_PREFIX")
_POLL_S = 0.1


def child_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of this process for a child: UTF-8, unbuffered output, no foreign module paths."""
    environment = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    environment.update(PYTHONUNBUFFERED="1", PYTHONUTF8="1")
    environment.update(extra or {})
    return environment


def start_in_own_group(
    command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str], stdout: int | IO[Any]
) -> subprocess.Popen[bytes]:
    """Starts a command as the leader of its own process group, stderr joined to `stdout`.

    A Ctrl-C in the terminal does not reach it, so that this process controls its end. On Linux the
    kernel terminates it if this process is killed; this needs `setpriv` (util-linux), and the calling
    thread must outlive the child.
    """
    arguments = [str(part) for part in command]
    group: dict[str, Any]
    if sys.platform == "win32":
        group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    else:
        group = {"start_new_session": True}
        setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
        if setpriv:
            arguments = [setpriv, "--pdeathsig", "TERM", "--", *arguments]
    return subprocess.Popen(
        arguments, cwd=cwd, env=dict(env), stdout=stdout, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **group
    )


def ask_to_end(process: subprocess.Popen[bytes]) -> None:
    """Asks the leader of a group to end: SIGINT, on Windows CTRL_BREAK."""
    with suppress(OSError):
        if sys.platform == "win32":
            process.send_signal(signal.CTRL_BREAK_EVENT)
        else:
            process.send_signal(signal.SIGINT)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kills a process started by `start_in_own_group` and every descendant still in its group."""
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(process.pid)], capture_output=True, check=False)
    else:
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    with suppress(OSError):
        process.kill()
    process.wait()


def run_in_foreground(
    command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str], stop: Stop, output: IO[bytes] | None = None
) -> int:
    """Runs a command that shares the terminal; returns its exit status. With `output` it writes there instead.

    On a stop request the child receives the signal, unless the terminal has sent it already, and has 30 s to
    clean up.
    """
    error = subprocess.STDOUT if output else None
    process = subprocess.Popen([str(part) for part in command], cwd=cwd, env=dict(env), stdout=output, stderr=error)
    while process.poll() is None:
        if not stop.wait(_POLL_S):
            continue
        from_terminal = stop.signum == signal.SIGINT and sys.stdin is not None and sys.stdin.isatty()
        if not from_terminal:
            with suppress(OSError):
                process.terminate() if stop.signum != signal.SIGINT or os.name == "nt" else process.send_signal(
                    signal.SIGINT
                )
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        stop.check()
    return process.returncode


def run_captured(command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str], stop: Stop) -> tuple[int, str]:
    """Runs a command from any thread; returns its exit status and output. Kills it on a stop request."""
    with tempfile.TemporaryFile() as output:
        process = start_in_own_group(command, cwd=cwd, env=env, stdout=output)
        while process.poll() is None:
            if stop.wait(_POLL_S):
                kill_group(process)
        output.seek(0)
        return process.returncode, output.read().decode("utf-8", "replace")


def describe_exit(status: int) -> str:
    """Describes how a process ended: "exit status 3", "killed by SIGKILL"."""
    if status < 0:
        with suppress(ValueError):
            return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"
