"""The llama.cpp worker behind the whole service: killed, frozen, abandoned."""

import concurrent.futures
import signal
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest

from tests.api.models.test_workers import check_restarted
from tests.api.openai.raw_text import check_raw_text
from tests.api.service_process import ServiceProcess, check_broken_off, eventually, question, running_service

pytestmark = pytest.mark.model
SETTINGS: dict[str, Any] = {
    "LLM_BACKEND": "llamacpp",
    "LLM_MODEL": "embedded",
    "LLM_STALL_TIMEOUT_S": "8",
    "LLM_CACHE_MB": "0",
}
STORY = "Write a very long story about the sea."


@pytest.fixture(scope="module")
def service() -> Iterator[ServiceProcess]:
    with running_service(**SETTINGS) as process:
        yield process


def test_it_answers_and_reports_itself(service: ServiceProcess) -> None:
    body = service.generate("What is the capital of France? Answer in one short sentence.", temperature=0).json()
    assert "Paris" in body["answer"]
    assert body["finish_reason"] == "stop"
    assert service.health()["backend"] == "llamacpp"
    eventually(lambda: "llm_batch_size_count" in service.client.get("/metrics").text, "steps are counted")


def test_texts_without_a_template(service: ServiceProcess) -> None:
    check_raw_text(service)


def test_killing_the_worker_fails_its_requests_and_the_next_is_served(service: ServiceProcess) -> None:
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        victims = [pool.submit(service.generate, f"{number} {STORY}", max_new_tokens=900) for number in range(3)]
        eventually(lambda: service.health()["queue"]["running"] == 3, "they run")
        service.workers()["generator"].kill()
        for victim in victims:
            check_restarted(victim.result())
    assert service.generate("Hi", max_new_tokens=4).status_code == 200


def test_a_stream_that_loses_its_worker_ends_with_an_error_event(service: ServiceProcess) -> None:
    body = question(STORY, stream=True, max_new_tokens=900)
    with service.client.stream("POST", "/api/llm/generate", json=body) as response:
        lines = response.iter_lines()
        assert next(lines).startswith("data: ")
        service.workers()["generator"].kill()
        check_broken_off(lines)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot stop a process in its tracks")
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "with a request"])
def test_a_frozen_worker_is_replaced(service: ServiceProcess, busy: bool) -> None:
    service.wait_for("/readyz")
    frozen = service.workers()["generator"]
    victim: concurrent.futures.Future[httpx.Response] | None = None
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        if busy:
            victim = pool.submit(service.generate, STORY, max_new_tokens=900)
            eventually(lambda: service.health()["queue"]["running"] == 1, "it runs")
        frozen.send_signal(signal.SIGSTOP)
        if victim is not None:
            check_restarted(victim.result())
    eventually(lambda: not frozen.is_running() or frozen.status() == psutil.STATUS_ZOMBIE, "it is killed")
    eventually(lambda: service.generate("Hi", max_new_tokens=4).status_code == 200, "the next one is served")


def test_a_caller_who_leaves_frees_the_place(service: ServiceProcess) -> None:
    service.wait_for("/readyz")
    body = question(STORY, stream=True, max_new_tokens=900)
    with service.client.stream("POST", "/api/llm/generate", json=body) as response:
        lines = response.iter_lines()
        assert next(lines).startswith("data: ")
    eventually(lambda: service.health()["queue"]["running"] == 0, "its place is free", within_s=15)


def test_the_log_holds_neither_key_nor_prompt(service: ServiceProcess) -> None:
    service.generate("xyzzy plugh", max_new_tokens=4)
    assert "xyzzy" not in service.log()
    assert "Bearer" not in service.log()
