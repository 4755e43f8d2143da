"""Both apps as processes of their own, with the embedded models and a database: the way a user walks."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from conftest import ROOT, free_port, wait_until
from devtools.layout import App, Workspace

pytestmark = pytest.mark.e2e

WORKSPACE = Workspace(ROOT)
QUESTION = "¿Cómo se dice perro en bora?"
BORA_WORD = "oohííbye"
READY_S = 180


class AppProcess:
    """One of the apps, started as its README says."""

    def __init__(self, app: App, port: int, variables: Mapping[str, str]) -> None:
        self.port = port
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(
            [str(app.python), "main.py"],
            cwd=app.folder,
            env={**os.environ, "ENV_FILES": "none", "HF_HUB_OFFLINE": "1", **variables},
            stdout=self._log,
            stderr=self._log,
        )
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120)

    def log(self) -> str:
        self._log.seek(0)
        return self._log.read()

    def is_ready(self) -> bool:
        assert self._process.poll() is None, self.log()
        with contextlib.suppress(httpx.TransportError):
            return self.client.get("/readyz").status_code == 200
        return False

    def wait_until_ready(self) -> None:
        wait_until(self.is_ready, f"port {self.port} is ready", READY_S)

    def kill_everything(self) -> None:
        """Kills the process and all that it started, at once, as a machine that loses its power does."""
        family = [*psutil.Process(self._process.pid).children(recursive=True), psutil.Process(self._process.pid)]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()

    def stop(self) -> None:
        self.client.close()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.close()


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="e2e-", ignore_cleanup_errors=True) as name:
        # The embedded database gives up root's rights and must still reach its folder.
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def llm_port() -> int:
    return free_port()


def start_llm(port: int, folder: Path) -> AppProcess:
    variables = {"LLM_SERVICE_PORT": str(port), "MODEL_CACHE_DIR": str(folder / "models")}
    return AppProcess(WORKSPACE.llm_service, port, variables)


def start_backend(llm_port: int, folder: Path, **variables: str) -> AppProcess:
    port = free_port()
    placed = {
        "BACKEND_PORT": str(port),
        "DATA_DIR": str(folder / "data"),
        "LLM_SERVICE_URL": f"http://127.0.0.1:{llm_port}",
        **variables,
    }
    return AppProcess(WORKSPACE.backend, port, placed)


def ask(backend: AppProcess, query: str = QUESTION, **fields: Any) -> dict[str, Any]:
    response = backend.client.post("/api/rag/query", json={"query": query, **fields})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def check_about_the_dog(answer: Mapping[str, Any]) -> None:
    assert BORA_WORD in answer["answer"]
    assert "perro" in [source["metadata"].get("lemma") for source in answer["sources"]]


@pytest.fixture(scope="module")
def llm(llm_port: int, folder: Path) -> Iterator[AppProcess]:
    process = start_llm(llm_port, folder)
    yield process
    process.stop()


@pytest.fixture(scope="module")
def backend(llm: AppProcess, llm_port: int, folder: Path) -> Iterator[AppProcess]:
    process = start_backend(llm_port, folder)
    try:
        process.wait_until_ready()
        llm.wait_until_ready()
        yield process
    finally:
        process.stop()


def test_a_question_is_answered_from_the_dictionary_by_the_service(backend: AppProcess) -> None:
    answer = ask(backend)
    check_about_the_dog(answer)
    assert answer["served_by"] == "llm_service"
    assert answer["answer_mode"] in ("generated", "completed", "extractive")
    assert answer["request_id"]


def test_a_streamed_answer_is_sources_then_pieces_then_the_whole(backend: AppProcess) -> None:
    response = backend.client.post("/api/rag/query", json={"query": QUESTION, "stream": True})
    data = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: ")]
    assert data[-1] == "[DONE]"
    first, *_, whole = (json.loads(item) for item in data[:-1])
    assert "perro" in [source["metadata"].get("lemma") for source in first["sources"]]
    check_about_the_dog(whole)


def test_the_lexicon_gets_its_vectors_from_the_service(backend: AppProcess, llm: AppProcess) -> None:
    fingerprint = llm.client.get("/api/llm/health").json()["fingerprint"]

    def complete() -> bool:
        stats = backend.client.get("/api/rag/stats").json()
        return bool(stats["documents"] >= 60 and stats["embedding_fingerprint"] == fingerprint)

    wait_until(complete, "every entry has a vector", 60)
    found = backend.client.get("/api/rag/search", params={"q": "animal que ladra"}).json()["results"]
    assert any("vector" in hit["matched_on"] for hit in found)


def test_the_page_is_served(backend: AppProcess) -> None:
    page = backend.client.get("/")
    assert page.status_code == 200
    assert "<html" in page.text


def test_a_killed_service_is_stood_in_for_and_used_again_when_it_is_back(
    backend: AppProcess, llm: AppProcess, llm_port: int, folder: Path
) -> None:
    check_about_the_dog(ask(backend))
    llm.kill_everything()
    local = ask(backend)
    check_about_the_dog(local)
    assert (local["served_by"], local["degraded"]) == ("local", True)

    again = start_llm(llm_port, folder)
    try:
        again.wait_until_ready()
        wait_until(lambda: ask(backend)["served_by"] == "llm_service", "the service is used again", 60)
    finally:
        again.stop()


def test_with_the_service_switched_off_the_local_model_answers(folder: Path) -> None:
    # The plan's rollback: LLM_SERVICE_ENABLED=false and a restart.
    alone = start_backend(free_port(), folder / "alone", LLM_SERVICE_ENABLED="false")
    try:
        alone.wait_until_ready()
        answer = ask(alone)
        check_about_the_dog(answer)
        assert answer["served_by"] == "local"
    finally:
        alone.stop()


def test_the_database_survives_a_restart(llm_port: int, folder: Path) -> None:
    data = folder / "kept"
    first = start_backend(llm_port, data)
    try:
        first.wait_until_ready()
        document = {"id": "mine", "kind": "text", "content": "La maloca es la casa grande de la comunidad."}
        assert first.client.post("/api/rag/documents", json={"documents": [document]}).status_code == 200
        before = first.client.get("/api/rag/stats").json()["documents"]
    finally:
        first.stop()
    second = start_backend(llm_port, data)
    try:
        second.wait_until_ready()
        assert second.client.get("/api/rag/stats").json()["documents"] == before
        assert second.client.delete("/api/rag/documents/mine").status_code == 200
    finally:
        second.stop()
