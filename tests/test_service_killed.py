"""The LLM service killed while many ask: the backend and two instances as processes, their engines without weights."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from app_process import ALONE, AppProcess, ask, running, start_backend, start_llm
from conftest import wait_until
from free_ports import free_port

pytestmark = pytest.mark.e2e
CALLERS = 50


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
def backend(ports: tuple[int, int]) -> Iterator[AppProcess]:
    urls = ",".join(f"http://127.0.0.1:{port}" for port in ports)
    process = start_backend(urls, **ALONE, LLM_SERVICE_TIMEOUT="60")
    with running(process):
        yield process


@pytest.fixture(scope="module")
def instances(ports: tuple[int, int]) -> Iterator[list[AppProcess]]:
    started = [start_llm(port, LLM_CACHE_MB="0") for port in ports]
    with running(*started):
        yield started


def test_killing_one_of_two_leaves_the_other_answering_and_it_is_used_again_when_it_is_back(
    backend: AppProcess, instances: list[AppProcess]
) -> None:
    wait_until_all_are_asked(backend, instances)
    instances[0].kill()
    assert {ask(backend)["served_by"] for _ in range(6)} == {"llm_service"}

    instances[0].start()
    instances[0].wait_until_ready()
    wait_until_all_are_asked(backend, instances)


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
            instance.kill()
        killed.set()
        for caller in asking:
            caller.result()
    assert set(served) >= {"llm_service", "none"}
