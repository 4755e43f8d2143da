"""Both apps as processes of their own, with the embedded models and a database: the way a user walks."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from app_process import ALONE, BORA_WORD, QUESTION, WORKSPACE, AppProcess, ask, running, start_backend
from conftest import NOWHERE, wait_until, wait_until_dead
from free_ports import free_port

pytestmark = pytest.mark.e2e


def local_models(backend: AppProcess) -> list[psutil.Process]:
    """The process of the backend's own language model, while there is one."""
    commands = {child: _command_of(child) for child in backend.process().children(recursive=True)}
    is_local = [child for child, command in commands.items() if "adapters.local.child" in command]
    return [child for child in is_local if "embedder" not in commands[child]]


def _command_of(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return list(process.cmdline())
    return []


def check_about_the_dog(answer: Mapping[str, Any]) -> None:
    assert BORA_WORD in answer["answer"]
    assert "perro" in [source["metadata"].get("lemma") for source in answer["sources"]]


@pytest.fixture(scope="module")
def started(folder: Path) -> Iterator[tuple[AppProcess, AppProcess]]:
    """The service and the backend, which start side by side."""
    service = AppProcess(WORKSPACE.llm_service, free_port(), {})
    backend = start_backend(service.url, DATA_DIR=str(folder))
    with running(service, backend):
        yield service, backend


@pytest.fixture
def llm(started: tuple[AppProcess, AppProcess]) -> AppProcess:
    """The service; if the last test killed it, it starts again."""
    service, backend = started
    if service.has_ended():
        service.start()
        service.wait_until_ready()
        wait_until(lambda: ask(backend)["served_by"] == "llm_service", "the service is used again")
    return service


@pytest.fixture
def backend(started: tuple[AppProcess, AppProcess], llm: AppProcess) -> AppProcess:
    return started[1]


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


def test_a_killed_service_is_stood_in_for_by_the_local_model(backend: AppProcess, llm: AppProcess) -> None:
    """That it is used again when it is back: test_balancer."""
    check_about_the_dog(ask(backend))
    llm.kill()
    local = ask(backend)
    check_about_the_dog(local)
    assert (local["served_by"], local["degraded"]) == ("local", True)


@pytest.fixture(scope="module")
def alone() -> Iterator[AppProcess]:
    """The plan's rollback: LLM_SERVICE_ENABLED=false and a restart."""
    short = {"LLM_MAX_NEW_TOKENS": "12", "LLM_LOCAL_MAX_WAITING": "0"}
    process = start_backend(NOWHERE, LLM_SERVICE_ENABLED="false", **short)
    with running(process):
        yield process


def is_answered_by_the_local_model(backend: AppProcess) -> bool:
    answer = ask(backend)
    check_about_the_dog(answer)
    return bool(answer["served_by"] == "local")


def test_with_the_service_switched_off_the_local_model_answers_from_a_process_of_its_own(alone: AppProcess) -> None:
    wait_until(lambda: is_answered_by_the_local_model(alone), "the local model answers")
    (models,) = local_models(alone)
    libraries = re.compile("xllamacpp|torch")
    assert any(libraries.search(mapped.path) for mapped in models.memory_maps())
    assert not any(libraries.search(mapped.path) for mapped in alone.process().memory_maps())


def test_a_killed_local_model_costs_no_answer_and_is_started_again(alone: AppProcess) -> None:
    wait_until(lambda: is_answered_by_the_local_model(alone), "the local model answers")
    (models,) = local_models(alone)
    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask, alone) for _ in range(4)]
        models.kill()
        for answer in asking:
            check_about_the_dog(answer.result())
    wait_until(lambda: is_answered_by_the_local_model(alone), "the local model answers again")
    assert [process.pid for process in local_models(alone)] != [models.pid]


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
    (models,) = local_models(alone)
    alone.press_ctrl_c()
    wait_until_dead(models.pid)
    assert "Traceback" not in alone.log()
    assert "KeyboardInterrupt" not in alone.log()


def test_the_database_survives_a_restart(folder: Path) -> None:
    data = str(folder / "kept")
    first = start_backend(NOWHERE, **ALONE, DATA_DIR=data)
    with running(first):
        document = {"id": "mine", "kind": "text", "content": "La maloca es la casa grande de la comunidad."}
        assert first.client.post("/api/rag/documents", json={"documents": [document]}).status_code == 200
        before = first.client.get("/api/rag/stats").json()["documents"]
    second = start_backend(NOWHERE, **ALONE, DATA_DIR=data)
    with running(second):
        assert second.client.get("/api/rag/stats").json()["documents"] == before
        assert second.client.delete("/api/rag/documents/mine").status_code == 200
