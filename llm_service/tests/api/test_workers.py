"""Workers that die, stall or cannot load: nobody hangs, and the service comes back by itself."""

import concurrent.futures
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest

from tests.api.service_process import ServiceProcess, eventually, question, running_service


@pytest.fixture(scope="module")
def service() -> Iterator[ServiceProcess]:
    with running_service() as process:
        yield process


def check_restarted(response: httpx.Response) -> None:
    assert response.status_code == 503, response.text
    error = response.json()["error"]
    assert (error["type"], error["retryable"]) == ("engine_restarted", True)


def test_killing_the_generator_fails_its_request_and_no_other(service: ServiceProcess) -> None:
    live: list[int] = []
    over = threading.Event()

    def probe() -> None:
        with httpx.Client(base_url=service.client.base_url) as client:
            while not over.is_set():
                live.append(client.get("/livez").status_code)

    prober = threading.Thread(target=probe)
    prober.start()
    try:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            victim = pool.submit(service.generate, "uno [[words:5000]] [[slow:20]]", max_new_tokens=2000)
            eventually(lambda: service.health()["queue"]["running"] == 1, "the request runs")
            service.workers()["generator"].kill()
            check_restarted(victim.result())
        assert service.client.post("/api/llm/embed", json={"texts": ["hola"]}).status_code == 200
        # The next one waits for the new worker.
        assert service.generate("hola").json()["answer"] == "hola"
    finally:
        over.set()
        prober.join()
    assert set(live) == {200}


def test_killing_the_embedder_fails_its_request_and_no_other(service: ServiceProcess) -> None:
    def embed(text: str) -> httpx.Response:
        return service.client.post("/api/llm/embed", json={"texts": [text]})

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        victim = pool.submit(embed, "[[slow:20000]]")
        embedder = service.workers()["embedder"]
        eventually(lambda: embedder.status() == psutil.STATUS_SLEEPING and victim.running(), "it embeds")
        threading.Event().wait(3)  # it has reached the embedder
        embedder.kill()
        check_restarted(victim.result())
    assert service.generate("hola").status_code == 200
    assert embed("otra vez, y nunca antes").status_code == 200


def test_a_worker_that_dies_of_a_request_is_replaced(service: ServiceProcess) -> None:
    check_restarted(service.generate("[[crash]] hola"))
    assert service.generate("hola").status_code == 200
    assert service.health()["restarts"] >= 1


def test_an_engine_that_gives_itself_up_is_replaced(service: ServiceProcess) -> None:
    check_restarted(service.generate("[[broken]] hola"))
    assert service.generate("hola").status_code == 200


def test_a_stream_that_loses_its_worker_ends_with_an_error_event(service: ServiceProcess) -> None:
    with service.client.stream(
        "POST", "/api/llm/generate", json=question("uno [[words:900]] [[slow:20]]", stream=True, max_new_tokens=900)
    ) as response:
        lines = response.iter_lines()
        assert next(lines).startswith("data: ")
        service.workers()["generator"].kill()
        rest = "\n".join(lines)
    assert "event: error" in rest
    assert "engine_restarted" in rest
    assert "[DONE]" not in rest
    assert service.generate("hola").status_code == 200


def test_a_worker_that_stalls_is_replaced() -> None:
    with running_service(LLM_STALL_TIMEOUT_S="8") as service:
        check_restarted(service.generate("[[hang]] hola"))
        assert service.generate("hola").status_code == 200


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot stop a process in its tracks")
def test_a_worker_that_is_frozen_is_replaced() -> None:
    with running_service(LLM_STALL_TIMEOUT_S="8") as service:
        frozen = service.workers()["generator"]
        frozen.send_signal(signal.SIGSTOP)
        check_restarted(service.generate("hola"))
        assert service.generate("hola").status_code == 200
        assert not frozen.is_running() or frozen.status() == psutil.STATUS_ZOMBIE


def test_no_worker_outlives_a_killed_service() -> None:
    with running_service() as service:
        workers = list(service.workers().values())
        assert len(workers) == 2
        service.process.kill()
        gone, alive = psutil.wait_procs(workers, timeout=60)
        assert (len(gone), alive) == (2, [])


def test_health_tells_of_a_worker_that_is_being_replaced() -> None:
    with running_service() as service:
        service.workers()["embedder"].kill()
        seen: list[Any] = []

        def restarting() -> bool:
            response = service.client.get("/api/llm/health")
            seen.append((response.status_code, response.json()["status"], response.json()["workers"]["embedder"]))
            return (503, "unhealthy", "restarting") in seen

        eventually(restarting, "health shows the restart")
        service.wait_for("/readyz")
        assert service.health()["status"] == "healthy"
