"""One question, one id: in the backend's log, in the LLM service's and in its workers', each a real process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import free_port, wait_until
from test_end_to_end import WORKSPACE, AppProcess, folder, start_backend

__all__ = ["folder"]  # a fixture: pytest finds it by its name here

pytestmark = pytest.mark.e2e
ALONE = {"LLM_MODEL": "nobody/has-this", "LLM_OFFLINE_MODEL": "none"}


@pytest.fixture(scope="module")
def llm() -> Iterator[AppProcess]:
    port = free_port()
    engines = {"LLM_BACKEND": "fake", "EMBEDDING_BACKEND": "fake", "LOG_LEVEL": "DEBUG"}
    service = AppProcess(WORKSPACE.llm_service, port, {"LLM_SERVICE_PORT": str(port), **engines})
    service.wait_until_ready()
    yield service
    service.stop()


@pytest.fixture(scope="module")
def backend(llm: AppProcess, folder: Path) -> Iterator[AppProcess]:
    app = start_backend(llm.port, folder, **ALONE)
    app.wait_until_ready()
    yield app
    app.stop()


def about(app: AppProcess, request_id: str) -> list[dict[str, Any]]:
    """Return what the log has about a request; every line of it is JSON. The last line may be under way."""
    records: list[dict[str, Any]] = [json.loads(line) for line in app.log().split("\n")[:-1]]
    return [record for record in records if record.get("request_id") == request_id]


@pytest.mark.parametrize("sent", ["pregunta-7", None], ids=["of-the-caller", "of-the-backend"])
def test_a_question_has_one_id_in_every_log(backend: AppProcess, llm: AppProcess, sent: str | None) -> None:
    headers = {"X-Request-ID": sent} if sent else {}
    # Another question each time: a vector that is kept would not need the embedder.
    question = f"¿Cómo se dice {'casa' if sent else 'agua'} en bora?"
    response = backend.client.post("/api/rag/query", json={"query": question}, headers=headers)
    assert response.status_code == 200
    request_id = response.headers["X-Request-ID"]
    assert sent in (None, request_id)
    assert response.json()["request_id"] == request_id

    def routes(app: AppProcess) -> set[str]:
        return {record["route"] for record in about(app, request_id) if record["event"] == "request"}

    wait_until(lambda: routes(backend) == {"/api/rag/query"}, "the backend has its line")
    wait_until(lambda: routes(llm) == {"/api/llm/embed", "/api/llm/generate"}, "the LLM service has its lines")
    assert {record["process"] for record in about(llm, request_id)} == {"http", "generator", "embedder"}
    assert question not in backend.log()
