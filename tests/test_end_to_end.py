"""Both apps as processes of their own, with the embedded models and a database: the way a user walks."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from conftest import ROOT, free_port, wait_until, wait_until_dead
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
        # A file with a name: reading through the process's own handle would move where it writes.
        self._logs = tempfile.TemporaryDirectory(prefix="log-", ignore_cleanup_errors=True)
        log = Path(self._logs.name, "log").open("wb")  # noqa: SIM115 - closed below
        self._process = subprocess.Popen(
            [str(app.python), "main.py"],
            cwd=app.folder,
            env={**os.environ, "ENV_FILES": "none", "HF_HUB_OFFLINE": "1", **variables},
            stdout=log,
            stderr=log,
            # Then a test can press Ctrl-C without meaning itself.
            start_new_session=True,
        )
        log.close()
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120)

    def log(self) -> str:
        return Path(self._logs.name, "log").read_text(encoding="utf-8", errors="replace")

    def is_ready(self) -> bool:
        assert self._process.poll() is None, self.log()
        with contextlib.suppress(httpx.TransportError):
            return self.client.get("/readyz").status_code == 200
        return False

    def wait_until_ready(self) -> None:
        wait_until(self.is_ready, f"port {self.port} is ready", READY_S)

    def process(self) -> psutil.Process:
        return psutil.Process(self._process.pid)

    def local_models(self) -> list[psutil.Process]:
        """The process in which the backend's own models are, while there is one."""
        children = self.process().children(recursive=True)
        return [child for child in children if "adapters.local_child" in _command_of(child)]

    def press_ctrl_c(self) -> int:
        """Send what a console sends to all that runs in it; returns the exit status."""
        os.killpg(self._process.pid, signal.SIGINT)
        return self._process.wait(30)

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
        self._logs.cleanup()


def _command_of(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return list(process.cmdline())
    return []


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


def with_unpacked_model(data: Path) -> None:
    """Copies what set-up has unpacked of the embedded model: reading it from its own file takes 17 s."""
    unpacked = sorted((WORKSPACE.data / "models").glob("SmolLM2*"), key=lambda path: path.stat().st_mtime)
    if unpacked:
        shutil.copytree(unpacked[-1], data / "data" / "models" / unpacked[-1].name)


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
    with_unpacked_model(folder)
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


@pytest.fixture(scope="module")
def alone(folder: Path) -> Iterator[AppProcess]:
    """The plan's rollback: LLM_SERVICE_ENABLED=false and a restart."""
    with_unpacked_model(folder / "alone")
    short = {"LLM_MAX_NEW_TOKENS": "12", "LLM_LOCAL_MAX_WAITING": "0"}
    process = start_backend(free_port(), folder / "alone", LLM_SERVICE_ENABLED="false", **short)
    try:
        process.wait_until_ready()
        yield process
    finally:
        process.stop()


def is_answered_by_the_local_model(backend: AppProcess) -> bool:
    answer = ask(backend)
    check_about_the_dog(answer)
    return bool(answer["served_by"] == "local")


def test_with_the_service_switched_off_the_local_model_answers_from_a_process_of_its_own(alone: AppProcess) -> None:
    wait_until(lambda: is_answered_by_the_local_model(alone), "the local model answers")
    (models,) = alone.local_models()
    assert any("torch" in mapped.path for mapped in models.memory_maps())
    assert not any("torch" in mapped.path for mapped in alone.process().memory_maps())


def test_a_local_model_that_is_killed_costs_nobody_an_answer_and_is_started_again(alone: AppProcess) -> None:
    wait_until(lambda: is_answered_by_the_local_model(alone), "the local model answers")
    (models,) = alone.local_models()
    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask, alone) for _ in range(4)]
        models.kill()
        for answer in asking:
            check_about_the_dog(answer.result())
    wait_until(lambda: is_answered_by_the_local_model(alone), "the local model answers again")
    assert [process.pid for process in alone.local_models()] != [models.pid]


def test_what_is_too_much_for_the_local_model_is_answered_from_the_entries(alone: AppProcess) -> None:
    wait_until(lambda: is_answered_by_the_local_model(alone), "the local model answers")
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: ask(alone), range(12)))
    for answer in answers:
        check_about_the_dog(answer)
    assert {answer["served_by"] for answer in answers} == {"local", "none"}


@pytest.mark.skipif(sys.platform == "win32", reason="sends the console's signal as POSIX does")
def test_ctrl_c_ends_the_backend_and_its_local_models_quietly(alone: AppProcess) -> None:
    wait_until(lambda: is_answered_by_the_local_model(alone), "the local model answers")
    (models,) = alone.local_models()
    alone.press_ctrl_c()
    wait_until_dead(models.pid)
    assert "Traceback" not in alone.log()
    assert "KeyboardInterrupt" not in alone.log()


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
