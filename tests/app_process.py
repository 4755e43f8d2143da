"""The apps as processes, started as their READMEs say, that a test can kill and start again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil

from conftest import ROOT, wait_until
from devtools.commands.testing import environment_for_tests
from devtools.layout import App, Workspace
from free_ports import free_port
from postgres_server import postgres

WORKSPACE = Workspace(ROOT)
QUESTION = "¿Cómo se dice perro en bora?"
BORA_WORD = "oohííbye"
READY_S = 600
# Engines without weights.
FAKES = {"LLM_BACKEND": "fake", "EMBEDDING_BACKEND": "fake"}
# For a backend without a model of its own: what the service leaves unanswered is answered from the entries.
ALONE = {"LLM_MODEL": "nobody/has-this", "LLM_OFFLINE_MODEL": "none"}


class Program:
    """A program on a port of its own, and what it writes."""

    def __init__(self, name: str, command: Sequence[str | Path], port: int, **how: Any) -> None:
        self.name, self.port = name, port
        self.url = f"http://127.0.0.1:{port}"
        self.client = httpx.Client(base_url=self.url, timeout=120)
        self._command, self._how = command, how
        # A file with a name: reading through the process's own handle would move where it writes.
        self._logs = tempfile.TemporaryDirectory(prefix="log-", ignore_cleanup_errors=True)

    def start(self) -> None:
        with Path(self._logs.name, "log").open("ab") as log:
            # In a session of its own: then a test can press Ctrl-C without meaning itself.
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, start_new_session=True, **self._how)

    def log(self) -> str:
        return Path(self._logs.name, "log").read_text(encoding="utf-8", errors="replace")

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def answers(self, path: str, status: int = 200) -> bool:
        """Whether it answers a path with a status; fails when it has ended."""
        assert not self.has_ended(), self.log()
        with contextlib.suppress(httpx.TransportError):
            return self.client.get(path).status_code == status
        return False

    def process(self) -> psutil.Process:
        return psutil.Process(self._process.pid)

    def terminate(self) -> None:
        """Ask it to end, as a rolling restart does, and wait until it has."""
        self._process.terminate()
        self._process.wait(60)

    def kill(self) -> None:
        """kill -9, first of what speaks HTTP: its workers' end would have it say a last word."""
        children = self.process().children(recursive=True)
        self._process.kill()
        self._process.wait()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()

    def stop(self) -> None:
        self.client.close()
        if not self.has_ended():
            try:
                self.terminate()
            except subprocess.TimeoutExpired:
                self.kill()
        self._logs.cleanup()


class AppProcess(Program):
    """One of the apps, started."""

    def __init__(self, app: App, port: int, variables: Mapping[str, str]) -> None:
        self.variables = {**variables, app.port_variable: str(port)}
        environment = {**environment_for_tests(), "HF_HUB_OFFLINE": "1", **self.variables}
        super().__init__(app.name, [app.python, "main.py"], port, cwd=app.folder, env=environment)
        self.start()

    def is_ready(self) -> bool:
        return self.answers("/readyz")

    def wait_until_ready(self) -> None:
        wait_until(self.is_ready, f"{self.name} is ready", READY_S)

    def press_ctrl_c(self) -> int:
        """Send what a console sends to all that runs in it; return the exit status."""
        os.killpg(self._process.pid, signal.SIGINT)
        return self._process.wait(120)


def start_llm(port: int | None = None, **variables: str) -> AppProcess:
    """Start an LLM service with the engines that need no weights."""
    return AppProcess(WORKSPACE.llm_service, port or free_port(), {**FAKES, **variables})


def start_backend(llm_url: str, **variables: str) -> AppProcess:
    """Start a backend that asks a model for every answer, with a database of its own: embedded with a DATA_DIR."""
    database = {} if "DATA_DIR" in variables else {"DATABASE_URL": postgres().new_database()}
    asking = {"LLM_SERVICE_URL": llm_url, "RAG_WORDING": "always"}
    return AppProcess(WORKSPACE.backend, free_port(), {**database, **asking, **variables})


@contextlib.contextmanager
def running(*apps: AppProcess) -> Iterator[None]:
    """Wait until the apps are ready, and stop them at the end of the block."""
    try:
        for app in apps:
            app.wait_until_ready()
        yield
    finally:
        for app in reversed(apps):
            app.stop()


def ask(backend: AppProcess, query: str = QUESTION, **fields: Any) -> dict[str, Any]:
    """Ask the backend, from any thread; the answer must hold the dictionary's word."""
    response = backend.client.post("/api/rag/query", json={"query": query, **fields})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    assert BORA_WORD in answer["answer"]
    return answer
