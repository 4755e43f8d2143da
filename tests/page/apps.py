"""What stands behind the page in its tests: both apps as processes of their own and a database that can be stopped."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app_process import ALONE, FAKES, READY_S, WORKSPACE, AppProcess, running, start_backend
from conftest import wait_until
from free_ports import free_port
from postgres_server import Postgres, postgres


@dataclass
class Apps:
    """The LLM service without weights, the backend in front of it, and their database."""

    llm: AppProcess
    backend: AppProcess
    database: Postgres

    def add_documents(self, *documents: Mapping[str, Any]) -> None:
        response = self.backend.client.post("/api/rag/documents", json={"documents": documents})
        assert response.status_code == 200, response.text

    @contextlib.contextmanager
    def second_backend(self, **variables: str) -> Iterator[AppProcess]:
        """Start another backend on the same database and service, configured otherwise."""
        backend = AppProcess(WORKSPACE.backend, free_port(), {**self.backend.variables, **variables})
        with running(backend):
            yield backend

    def health(self) -> str:
        """Return what the backend says of itself and the service."""
        return str(self.backend.client.get("/health").json()["status"])


@contextlib.contextmanager
def running_apps(models: Mapping[str, str] = FAKES) -> Iterator[Apps]:
    """Start everything, the LLM service with these models, and wait until it is what answers questions."""
    llm = AppProcess(WORKSPACE.llm_service, free_port(), dict(models))
    quick = {"DATABASE_TIMEOUT": "2", "LLM_SERVICE_BREAKER_RESET": "1", "RAG_WORDING": "auto"}
    apps = Apps(llm, start_backend(llm.url, **ALONE, **quick), postgres())
    with running(llm, apps.backend):
        wait_until(lambda: apps.health() == "healthy", "the backend has the service", READY_S)
        yield apps
