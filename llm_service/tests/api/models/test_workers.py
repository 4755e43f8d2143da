"""Workers that die, stall or cannot load: nobody hangs, and the service comes back by itself."""

import concurrent.futures
import signal
import sys
import threading

import httpx
import psutil
import pytest

from tests.api.service_process import ServiceProcess, check_broken_off, eventually, question, running_service


@pytest.fixture
def service(mortal: ServiceProcess) -> ServiceProcess:
    mortal.wait_for("/readyz")
    return mortal


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
        assert service.embed("hola").status_code == 200
        # The next one waits for the new worker.
        assert service.generate("hola").json()["answer"] == "hola"
    finally:
        over.set()
        prober.join()
    assert set(live) == {200}


def test_an_embedder_that_dies_fails_its_request_and_no_other(service: ServiceProcess) -> None:
    check_restarted(service.embed("[[crash]] hola"))
    assert service.generate("hola").status_code == 200
    assert service.embed("otra vez, y nunca antes").status_code == 200


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
        check_broken_off(lines)
    assert service.generate("hola").status_code == 200


def test_workers_that_stall_are_replaced() -> None:
    with running_service(LLM_STALL_TIMEOUT_S="8") as service, concurrent.futures.ThreadPoolExecutor(2) as pool:
        frozen = service.workers()["embedder"]
        asked = [pool.submit(service.generate, "[[hang]] hola")]
        if sys.platform != "win32":  # which cannot stop a process in its tracks
            frozen.send_signal(signal.SIGSTOP)
            asked.append(pool.submit(service.embed, "hola"))
        for answer in asked:
            check_restarted(answer.result())
        assert service.generate("hola").status_code == 200
        assert service.embed("hola").status_code == 200
        assert sys.platform == "win32" or not frozen.is_running() or frozen.status() == psutil.STATUS_ZOMBIE


def test_no_worker_outlives_a_killed_service() -> None:
    with running_service() as service:
        workers = list(service.workers().values())
        assert len(workers) == 2
        service.process.kill()
        gone, alive = psutil.wait_procs(workers, timeout=60)
        assert (len(gone), alive) == (2, [])


def test_health_tells_of_a_worker_that_is_being_replaced(service: ServiceProcess) -> None:
    service.workers()["embedder"].kill()

    def restarting() -> bool:
        response = service.client.get("/api/llm/health")
        told = response.status_code, response.json()["status"], response.json()["workers"]["embedder"]
        return told == (503, "unhealthy", "restarting")

    eventually(restarting, "health shows the restart")
    service.wait_for("/readyz")
    assert service.health()["status"] == "healthy"
