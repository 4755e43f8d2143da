"""The service as users have it: a process of its own, spoken to over a socket."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil

from free_ports import free_port

APP_DIR = Path(__file__).resolve().parents[2]
KEPT = ("PATH", "HOME", "SYSTEMROOT", "TEMP", "TMP", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "HF_HOME", "TMPDIR")
WAIT_S = 300.0
KEY, ASK_KEY = "correct-horse", "clave-de-ana-ñ"
"""Keys of the service that is guarded: for everything, and only to ask."""


class ServiceProcess:
    """A running LLM service, its log, and a client for it."""

    def __init__(self, command: Sequence[str] = ("main.py",), **settings: str) -> None:
        self.port = int(settings.get("LLM_SERVICE_PORT") or free_port())
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._log = Path(self._folder.name) / "service.log"
        environment = {name: os.environ[name] for name in KEPT if name in os.environ}
        environment |= {
            "ENV_FILES": "none",
            "LLM_SERVICE_PORT": str(self.port),
            "LLM_BACKEND": "fake",
            "EMBEDDING_BACKEND": "fake",
            "PYTHONUNBUFFERED": "1",
        }
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *command], cwd=APP_DIR, env=environment | settings, stdout=log, stderr=log
            )
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)

    def log(self) -> str:
        """Return what it has printed. Read through a handle of its own: a shared one would move where it writes."""
        return self._log.read_text(encoding="utf-8", errors="replace")

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
                if "workers.child" in line:
                    found[line[-1]] = child
        return found

    def generate(self, content: str, **fields: Any) -> httpx.Response:
        """Ask for an answer to one user message."""
        return self.client.post("/api/llm/generate", json=question(content, **fields))

    def embed(self, *texts: str, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
        """Ask for the vectors of texts."""
        return self.client.post("/api/llm/embed", json={"texts": texts, **fields}, headers=headers)

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
        self._folder.cleanup()


def question(content: str, **fields: Any) -> dict[str, Any]:
    """Return the body of a generate request with one user message."""
    return {"messages": [{"role": "user", "content": content}], **fields}


def events_of(response: httpx.Response) -> list[Any]:
    """Return the data of every server-sent event, in order, of an answer that is read or still comes."""
    data = [line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data: ")]
    return [item if item == "[DONE]" else json.loads(item) for item in data]


def check_broken_off(lines: Iterator[str]) -> None:
    """The rest of a stream that lost its engine ends with an error event."""
    rest = "\n".join(lines)
    assert "event: error" in rest
    assert "engine_restarted" in rest
    assert "[DONE]" not in rest


def idle(service: ServiceProcess) -> bool:
    """Whether no request is inside."""
    queue = service.health()["queue"]
    return bool(queue["running"] == 0 and queue["waiting"] == 0)


def leave_when_it_runs(
    service: ServiceProcess, path: str, body: dict[str, Any], request_id: str = "left", *, waiting: int = 0
) -> None:
    """Ask, and hang up when the one request more is computed, or waits."""
    before = service.health()["queue"]
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: {request_id}\r\nContent-Type: application/json"
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(f"{head}\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content)
        which = "waiting" if waiting else "running"
        eventually(lambda: service.health()["queue"][which] == before[which] + 1, f"{path} has the request")


@contextlib.contextmanager
def running_service(
    *, ready: bool | None = True, command: Sequence[str] = ("main.py",), **settings: str
) -> Iterator[ServiceProcess]:
    """Run a service for the length of a block, which begins when it is ready, or lives; with ``None`` at once."""
    service = ServiceProcess(command, **settings)
    try:
        if ready is not None:
            service.wait_for("/readyz" if ready else "/livez")
        yield service
    finally:
        service.stop()


def eventually(condition: Any, what: str, within_s: float = 60.0) -> None:
    """Wait until ``condition()`` holds."""
    give_up = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < give_up, f"not within {within_s:g} s: {what}"
        time.sleep(0.02)
