"""Parent side of a local model: starts its process when it is needed, watches it, starts another after a crash."""

import contextlib
import dataclasses
import json
import logging
import queue
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import IO

from adapters.local.config import Kind, LocalModelConfig

logger = logging.getLogger(__name__)
_APP_FOLDER = Path(__file__).resolve().parent.parent.parent
COMMAND = (sys.executable, "-m", "adapters.local.child")
_START_S = 30.0
_LOAD_S = 120.0
"""Longest silence of a process that loads its model: a library may hold Python's lock throughout."""
_LONGEST_PAUSE_S = 60.0
_STABLE_S = 60.0
"""A process that lived this long does not count as a crash in a row."""
# In a group of its own: the console's Ctrl-C is for the backend. On Windows the priority is set here as well.
_FLAGS = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0) | getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0)


@dataclasses.dataclass(frozen=True, slots=True)
class Address:
    """Port on which a process listens, and the key that it requires."""

    port: int
    key: str


class Launcher:
    """At most one process of a model. Safe to use from any thread; only ``close`` blocks.

    The process ends by itself when it is idle. After a crash the next need starts another: at once after the first
    crash, after 1, 2, 4 … 60 s when crashes follow each other.
    """

    def __init__(self, kind: Kind, config: LocalModelConfig, command: Sequence[str] = COMMAND) -> None:
        self.kind = kind
        self._config = config
        self._command = [*command, kind]
        self._lock = threading.Lock()
        self._address: Future[Address] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self._crashes = 0
        self._not_before = 0.0
        self._fault = "is not running"

    @property
    def pid(self) -> int | None:
        """The process id while there is a process."""
        return None if self._process is None else self._process.pid

    def address(self) -> "Future[Address]":
        """Return where the model is served, starting its process if there is none.

        The future fails with ``OSError`` when the process cannot be started or crashed just now.
        """
        with self._lock:
            if self._address is not None:
                return self._address
            address: Future[Address] = Future()
            if self._closed or time.monotonic() < self._not_before:
                address.set_exception(OSError(f"the local {self.kind} {self._fault}"))
                return address
            self._address = address
            self._thread = threading.Thread(target=self._live, args=(address,), name=f"local-{self.kind}", daemon=True)
            self._thread.start()
            return address

    def close(self, timeout_s: float) -> None:
        """End the process for good. Blocks until it has ended, at most ``timeout_s`` seconds."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.kill()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _live(self, address: "Future[Address]") -> None:
        """Run one process from its start to its end."""
        started, status, how = time.monotonic(), -1, "could not be started"
        try:
            with subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=_APP_FOLDER,
                start_new_session=True,
                creationflags=_FLAGS,
            ) as process:
                with self._lock:
                    self._process = process
                    if self._closed:
                        process.kill()
                try:
                    silence_s = self._follow(process, address)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(0 if silence_s else _START_S)
                finally:
                    process.kill()
                status = process.wait()
                how = f"was silent for {silence_s:.0f} s and is killed" if silence_s else f"ended with status {status}"
        except (OSError, ValueError) as error:
            how = f"{how}: {error}"
        finally:
            with self._lock:
                self._address = self._process = None
                self._crashes = 0 if status == 0 or time.monotonic() - started > _STABLE_S else self._crashes + 1
                pause_s = min(2.0 ** (self._crashes - 2), _LONGEST_PAUSE_S) if self._crashes > 1 else 0.0
                self._not_before = time.monotonic() + pause_s
            if not address.done():
                address.set_exception(OSError(f"the local {self.kind} {how}"))
            if not self._closed:
                self._fault = how
                logger.log(logging.WARNING if status else logging.INFO, "the local %s %s", self.kind, how)

    def _follow(self, process: "subprocess.Popen[bytes]", address: "Future[Address]") -> float | None:
        """Hand over the process's settings, then read its port and its heartbeats until it ends.

        Returns the seconds of silence of a process that hangs. Standard input stays open: the process lives by it.
        """
        assert process.stdin is not None
        assert process.stdout is not None
        lines = queue.SimpleQueue[bytes]()
        threading.Thread(target=_read_lines, args=(process.stdout, lines), daemon=True).start()
        key, limit_s = secrets.token_urlsafe(32), _START_S
        with contextlib.suppress(BrokenPipeError):  # it has ended, as the end of its output shows
            process.stdin.write(json.dumps({"config": dataclasses.asdict(self._config), "key": key}).encode() + b"\n")
            process.stdin.flush()
        try:
            if not (port := lines.get(timeout=limit_s)):
                return None
            address.set_result(Address(int(port), key))
            limit_s = _LOAD_S
            while beat := lines.get(timeout=limit_s):
                if beat == b"ready\n":
                    limit_s = self._config.stall_timeout_s
        except queue.Empty:
            return limit_s
        return None


def _read_lines(pipe: IO[bytes], lines: "queue.SimpleQueue[bytes]") -> None:
    """Pass on each line, and an empty one at the end."""
    while line := pipe.readline():
        lines.put(line)
    lines.put(b"")
