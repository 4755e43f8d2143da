"""The service as users have it: a process of its own, spoken to over a socket."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil

APP_DIR = Path(__file__).resolve().parents[2]
KEPT = ("PATH", "HOME", "SYSTEMROOT", "TEMP", "TMP", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "HF_HOME", "TMPDIR")
WAIT_S = 120.0


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class ServiceProcess:
    """A running LLM service, its log, and a client for it."""

    def __init__(self, **settings: str) -> None:
        self.port = int(settings.get("LLM_SERVICE_PORT") or free_port())
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the process
        environment = {name: os.environ[name] for name in KEPT if name in os.environ}
        environment |= {
            "ENV_FILES": "none",
            "LLM_SERVICE_PORT": str(self.port),
            "LLM_BACKEND": "fake",
            "EMBEDDING_BACKEND": "fake",
            "PYTHONUNBUFFERED": "1",
        }
        self.process = subprocess.Popen(
            [sys.executable, "main.py"],
            cwd=APP_DIR,
            env=environment | settings,
            stdout=self._log,
            stderr=self._log,
        )
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)

    def log(self) -> str:
        """Return what it has printed."""
        self._log.seek(0)
        return self._log.read()

    def wait_for(self, path: str) -> None:
        """Wait until ``path`` answers 200."""
        give_up = time.monotonic() + WAIT_S
        while time.monotonic() < give_up:
            with contextlib.suppress(httpx.TransportError):
                if self.client.get(path).status_code == 200:
                    return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"{path} did not answer 200:\n{self.log()}")

    def workers(self) -> dict[str, psutil.Process]:
        """Return the worker processes by role."""
        found = {}
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                line = child.cmdline()
                if "engines.worker" in line:
                    found[line[-1]] = child
        return found

    def generate(self, content: str, **fields: Any) -> httpx.Response:
        """Ask for an answer to one user message."""
        return self.client.post("/api/llm/generate", json=question(content, **fields))

    def health(self) -> dict[str, Any]:
        """Return the body of the health route, whatever its status."""
        body: dict[str, Any] = self.client.get("/api/llm/health").json()
        return body

    def stop(self) -> None:
        """End it, gently if it will."""
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._log.close()


def question(content: str, **fields: Any) -> dict[str, Any]:
    """Return the body of a generate request with one user message."""
    return {"messages": [{"role": "user", "content": content}], **fields}


@contextlib.contextmanager
def running_service(*, ready: bool = True, **settings: str) -> Iterator[ServiceProcess]:
    """Run a service for the length of a block."""
    service = ServiceProcess(**settings)
    try:
        service.wait_for("/readyz" if ready else "/livez")
        yield service
    finally:
        service.stop()


def eventually(condition: Any, what: str, within_s: float = 30.0) -> None:
    """Wait until ``condition()`` holds."""
    give_up = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < give_up, f"not within {within_s:g} s: {what}"
        time.sleep(0.02)
