"""One running service: process, log lines, readiness."""

from __future__ import annotations

import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

from devtools.console import Console
from devtools.layout import App
from devtools.ports import local_url
from devtools.processes import ask_to_end, child_environment, describe_exit, kill_group, start_in_own_group
from devtools.stopping import Stop
from devtools.up.narration import Narrator

_TAIL_LINES = 20
_COLOURS = {"llm": "magenta", "backend": "cyan"}
# No proxy from the environment for this machine's own addresses.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Service:
    """A service of this repository as a child process."""

    def __init__(
        self,
        app: App,
        host: str,
        port: int,
        variables: Mapping[str, str],
        console: Console,
        log: Path,
        verbose: bool = False,
    ) -> None:
        self.app = app
        self.host = host
        self.port = port
        self.ready = False
        self.started_at = 0.0
        self._variables = {**variables, app.port_variable: str(port)}
        self._console = console
        self.log = log
        self.narrator = Narrator(app, console, log)
        self._verbose = verbose
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None

    @property
    def url(self) -> str:
        """URL of the service from this machine, without a trailing slash."""
        return local_url(self.host, self.port)

    def start(self) -> None:
        """Starts the process. Call it from the main thread (see `start_in_own_group`)."""
        self.ready = False
        self.started_at = time.monotonic()
        self._tail.clear()
        self.narrator.restart()
        self._process = start_in_own_group(
            [self.app.python, "main.py"],
            cwd=self.app.folder,
            env=child_environment(self._variables),
            stdout=subprocess.PIPE,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), name=self.app.label, daemon=True)
        self._reader.start()

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        prefix = self._console.paint(f"{self.app.label:>7} |", _COLOURS[self.app.label])
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            assert process.stdout is not None
            for raw in process.stdout:
                log.write(raw)
                log.flush()
                line = raw.decode("utf-8", "replace").rstrip("\r\n")
                self._tail.append(line)
                if self._verbose:
                    self._console.line(f"{prefix} {line}")
                else:
                    self.narrator.read(line)

    @property
    def running(self) -> bool:
        """Whether the process has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def check_ready(self) -> bool:
        """Requests `/readyz`; sets `ready` on success."""
        with (
            suppress(urllib.error.URLError, HTTPException, OSError),
            _opener.open(f"{self.url}/readyz", timeout=2) as answer,
        ):
            self.ready = answer.status == 200
        return self.ready

    def obituary(self) -> str:
        """Describes how the process ended, with its last log lines."""
        self._join_reader()
        lines = "\n".join(f"    {line}" for line in self._tail) or "    (it wrote nothing)"
        how = describe_exit(self._process.returncode if self._process else 0)
        return f"{self.app.name} ended ({how}). Its last lines, also in {self.log}:\n{lines}"

    def ask_to_end(self) -> None:
        """Requests a graceful stop of the process."""
        if self._process and self.running:
            ask_to_end(self._process)

    def kill(self) -> None:
        """Kills the service and its child processes."""
        if self._process:
            kill_group(self._process)
            self._join_reader()

    def _join_reader(self) -> None:
        if self._reader:
            self._reader.join(2)


def end_all(services: list[Service], grace_s: float, stop: Stop) -> list[Service]:
    """Stops services gracefully and concurrently; returns those that had to be killed.

    A further Ctrl-C during the call ends the grace period of `grace_s` seconds.
    """
    times = stop.times
    for service in services:
        service.ask_to_end()
    deadline = time.monotonic() + grace_s
    while any(service.running for service in services) and time.monotonic() < deadline and stop.times == times:
        time.sleep(0.05)
    late = [service for service in services if service.running]
    for service in services:
        service.kill()
    return late
