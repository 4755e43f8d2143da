"""The LLM service killed while many ask: the backend and two instances as processes, their engines without weights."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from conftest import free_port, wait_until
from test_end_to_end import BORA_WORD, QUESTION, WORKSPACE, AppProcess, folder, start_backend

__all__ = ["folder"]  # a fixture: pytest finds it by its name here

pytestmark = pytest.mark.e2e
CALLERS = 50


def start_llm(port: int) -> AppProcess:
    fakes = {"LLM_BACKEND": "fake", "EMBEDDING_BACKEND": "fake", "LLM_CACHE_MB": "0"}
    return AppProcess(WORKSPACE.llm_service, port, {"LLM_SERVICE_PORT": str(port), **fakes})


def ask(backend: AppProcess) -> dict[str, Any]:
    url = f"http://127.0.0.1:{backend.port}/api/rag/query"
    response = httpx.post(url, json={"query": QUESTION}, timeout=120)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    assert BORA_WORD in answer["answer"]
    return answer


def has_answered(llm: AppProcess) -> bool:
    return '"route": "/api/llm/generate", "status": 200' in llm.log()


def wait_until_all_are_asked(backend: AppProcess, instances: Sequence[AppProcess]) -> None:
    """The backend has left the addresses alone that were not there, and asks each again with one call."""

    def are_asked() -> bool:
        ask(backend)
        return all(has_answered(instance) for instance in instances)

    wait_until(are_asked, "every instance is asked")


@pytest.fixture(scope="module")
def ports() -> tuple[int, int]:
    return free_port(), free_port()


@pytest.fixture(scope="module")
def backend(ports: tuple[int, int], folder: Path) -> Iterator[AppProcess]:
    # No model of its own: what the service leaves unanswered is answered from the entries, at once.
    alone = {"LLM_MODEL": "nobody/has-this", "LLM_OFFLINE_MODEL": "none", "LLM_SERVICE_TIMEOUT": "60"}
    urls = ",".join(f"http://127.0.0.1:{port}" for port in ports)
    process = start_backend(ports[0], folder / "killed", **alone, LLM_SERVICE_URL=urls)
    try:
        process.wait_until_ready()
        yield process
    finally:
        process.stop()


@pytest.fixture
def instances(ports: tuple[int, int]) -> Iterator[list[AppProcess]]:
    started = [start_llm(port) for port in ports]
    try:
        for instance in started:
            instance.wait_until_ready()
        yield started
    finally:
        for instance in started:
            instance.stop()


def test_killing_every_instance_under_fifty_questions_fails_none_of_them(
    backend: AppProcess, instances: list[AppProcess]
) -> None:
    wait_until_all_are_asked(backend, instances)
    served: list[str] = []
    killed = threading.Event()

    def keep_asking() -> None:
        is_last = False
        while not is_last:
            is_last = killed.is_set()
            served.append(ask(backend)["served_by"])

    with ThreadPoolExecutor(CALLERS) as pool:
        asking = [pool.submit(keep_asking) for _ in range(CALLERS)]
        wait_until(lambda: len(served) > CALLERS, "answers come")
        for instance in instances:
            instance.kill_everything()
        killed.set()
        for caller in asking:
            caller.result()
    assert set(served) >= {"llm_service", "none"}


def test_killing_one_of_two_leaves_the_other_answering_and_it_is_used_again_when_it_is_back(
    backend: AppProcess, instances: list[AppProcess]
) -> None:
    wait_until_all_are_asked(backend, instances)
    instances[0].kill_everything()
    assert {ask(backend)["served_by"] for _ in range(6)} == {"llm_service"}

    port = instances[0].port
    instances[0].stop()
    instances[0] = start_llm(port)
    instances[0].wait_until_ready()
    wait_until_all_are_asked(backend, instances)
