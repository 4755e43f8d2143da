"""Two real instances that are killed and restarted, behind nginx as deploy/nginx configures it and without it."""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

import app_process
from app_process import ALONE, AppProcess, running, start_backend
from conftest import wait_until
from deployment.balancer_nginx import KEY, NGINX, Balancer, start_instance
from free_ports import free_port

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(NGINX is None, reason="no nginx on this machine (Debian: apt-get install nginx)"),
]
CALLERS = 4
GENERATE = "/api/llm/generate"
_numbers = itertools.count()


def said(content: str, **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}], "temperature": 0, **fields}


def busy_with(instance: AppProcess) -> int:
    health = instance.client.get("/api/llm/health", headers={"Authorization": f"Bearer {KEY}"}).json()
    return int(health["queue"]["running"])


@pytest.fixture(scope="module")
def ports() -> tuple[int, int]:
    return free_port(), free_port()


@pytest.fixture(scope="module")
def balancer(folder: Path, ports: tuple[int, int]) -> Iterator[Balancer]:
    nginx = Balancer(folder, ports)
    try:
        nginx.start()
        yield nginx
    finally:
        nginx.stop()


@pytest.fixture(scope="module")
def both(ports: tuple[int, int]) -> Iterator[list[AppProcess]]:
    started = [start_instance(port) for port in ports]
    with running(*started):
        yield started


@pytest.fixture
def instances(both: list[AppProcess], balancer: Balancer) -> list[AppProcess]:
    """Both instances, ready; those that the last test ended start again."""
    for instance in both:
        if instance.has_ended():
            instance.start()
    for instance in both:
        instance.wait_until_ready()

    def are_asked() -> bool:
        # nginx leaves an instance alone for a second after it was away: both must have seen one of these.
        headers = {"X-Request-ID": f"asked-{next(_numbers)}"}
        answers = [balancer.client.post(GENERATE, json=said("hola"), headers=headers) for _ in range(4)]
        return {answer.status_code for answer in answers} == {200} and all(
            headers["X-Request-ID"] in instance.log() for instance in both
        )

    wait_until(are_asked, "the balancer asks both")
    return both


@pytest.fixture(scope="module")
def backend(balancer: Balancer) -> Iterator[AppProcess]:
    process = start_backend(balancer.url, **ALONE, LLM_SERVICE_API_KEY=KEY)
    with running(process):
        yield process


@pytest.fixture(scope="module")
def direct(ports: tuple[int, int]) -> Iterator[AppProcess]:
    """A backend that knows the addresses of both instances itself."""
    urls = ",".join(f"http://127.0.0.1:{port}" for port in ports)
    process = start_backend(urls, **ALONE, LLM_SERVICE_API_KEY=KEY, LLM_SERVICE_TIMEOUT="60")
    with running(process):
        yield process


def ask(backend: AppProcess) -> str:
    return str(app_process.ask(backend)["served_by"])


def check_stream(client: httpx.Client, is_generating: Callable[[], bool]) -> None:
    """A stream arrives piece by piece: the first one while the others are generated."""
    events: list[str] = []
    still_generating_at_first = False
    body = said("[[words:30]] [[slow:100]] uno dos", stream=True)
    with client.stream("POST", GENERATE, json=body) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        for line in response.iter_lines():
            if not line.startswith("data:"):
                continue
            if not events:
                still_generating_at_first = is_generating()
            events.append(line.removeprefix("data:").strip())
    assert still_generating_at_first
    # A piece for each of the thirty words, the whole, the end.
    assert len(events) == 32
    assert events[-1] == "[DONE]"
    assert "".join(json.loads(event)["delta"] for event in events[:-2]) == json.loads(events[-2])["answer"]


def check_key_and_request_id(client: httpx.Client) -> None:
    """A caller's id and key are the service's to judge."""

    def generate(**headers: str) -> httpx.Response:
        return client.post(GENERATE, json=said("hola"), headers=headers)

    answer = generate(**{"X-Request-ID": "from-the-page"})
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"] == "from-the-page"
    forged = generate(**{"X-Request-ID": "two words"})
    assert forged.json()["request_id"] == forged.headers["X-Request-ID"] != "two words"
    stranger = generate(Authorization="Bearer wrong")
    assert (stranger.status_code, stranger.json()["error"]["type"]) == (401, "unauthorized")


def wait_until_all_are_asked(backend: AppProcess, instances: Sequence[AppProcess]) -> None:
    """The backend has left the addresses alone that were not there, and asks each again with one call."""
    for instance in instances:
        wait_until(lambda: app_process.ask(backend)["request_id"] in instance.log(), "every instance is asked")  # noqa: B023


@contextmanager
def kept_busy(once: Callable[[], str], callers: int = CALLERS) -> Iterator[list[str]]:
    """Callers that ask again and again while the block runs; a call that fails fails the test."""
    outcomes: list[str] = []
    over = threading.Event()

    def keep_asking() -> None:
        is_last = False
        while not is_last:
            is_last = over.is_set()
            outcomes.append(once())

    with ThreadPoolExecutor(callers) as pool:
        asking = [pool.submit(keep_asking) for _ in range(callers)]
        try:
            wait_until(lambda: len(outcomes) > callers, "answers come")
            yield outcomes
            enough = len(outcomes) + 2 * callers
            wait_until(lambda: len(outcomes) > enough or any(each.done() for each in asking), "answers still come")
        finally:
            over.set()
        for caller in asking:
            caller.result()


def test_an_instance_killed_under_load_fails_no_question_and_new_work_goes_past_it(
    backend: AppProcess, balancer: Balancer, instances: list[AppProcess]
) -> None:
    wait_until(lambda: ask(backend) == "llm_service", "the service answers")
    with kept_busy(lambda: ask(backend)):
        instances[0].kill()
    wait_until(lambda: ask(backend) == "llm_service", "the other instance answers")
    answers = [balancer.client.post(GENERATE, json=said("hola")) for _ in range(8)]
    assert [answer.status_code for answer in answers] == [200] * 8


def test_restarting_both_in_turn_under_load_fails_no_question(
    backend: AppProcess, balancer: Balancer, instances: list[AppProcess]
) -> None:
    wait_until(lambda: ask(backend) == "llm_service", "the service answers")
    with kept_busy(lambda: ask(backend)) as served:
        for instance in instances:
            instance.terminate()
            instance.start()
            instance.wait_until_ready()
    assert served.count("llm_service") > len(served) / 2


@pytest.mark.parametrize(
    ("path", "work"),
    [
        (GENERATE, said("hola")),
        ("/v1/responses", {"model": "default", "input": "hola"}),
        ("/tokenize", {"model": "default", "prompt": "hola"}),
    ],
)
def test_new_work_goes_past_an_instance_that_drains_and_its_old_work_is_finished(
    path: str, work: dict[str, Any], balancer: Balancer, instances: list[AppProcess]
) -> None:
    with ThreadPoolExecutor(3) as pool:
        body = said("[[words:40]] [[slow:100]] uno")
        long_ones = [pool.submit(balancer.client.post, GENERATE, json=body) for _ in range(3)]
        wait_until(lambda: sorted(map(busy_with, instances)) == [1, 2], "the long ones run")
        # The one with less to do: new work comes to it first, is refused and has to go on.
        draining = min(instances, key=busy_with)
        draining.process().terminate()
        wait_until(lambda: not draining.is_ready(), "it drains")
        answers = [balancer.client.post(path, json=work) for _ in range(8)]
        assert [answer.status_code for answer in answers] == [200] * 8
        wait_until(lambda: '"error": "draining"' in draining.log(), "it has refused")
        finished = [long_one.result() for long_one in long_ones]
    assert [(each.status_code, each.json()["tokens_generated"]) for each in finished] == [(200, 40)] * 3
    wait_until(draining.has_ended, "it has ended")


@pytest.mark.parametrize("path", [GENERATE, "/v1/chat/completions"])
def test_work_that_was_sent_and_lost_gets_a_retryable_error_and_is_not_sent_again(
    path: str, balancer: Balancer, instances: list[AppProcess]
) -> None:
    body = said("[[words:200]] [[slow:100]] uno", **({"model": "fake"} if path.startswith("/v1") else {}))
    with ThreadPoolExecutor(1) as pool:
        lost = pool.submit(balancer.client.post, path, json=body, headers={"X-Request-ID": "the-lost-one"})
        wait_until(lambda: any(busy_with(instance) for instance in instances), "it runs")
        working = next(instance for instance in instances if busy_with(instance))
        other = next(instance for instance in instances if instance is not working)
        working.kill()
        response = lost.result()
    assert response.status_code == 503
    assert response.headers["X-Request-ID"] == "the-lost-one"
    assert (response.headers["X-Error-Type"], response.headers["Retry-After"]) == ("engine_restarted", "1")
    error = response.json()["error"]
    if path.startswith("/v1"):
        assert (error["type"], error["code"]) == ("server_error", "engine_restarted")
    else:
        assert error == {
            "type": "engine_restarted",
            "message": "the instance that had this request is gone",
            "request_id": "the-lost-one",
            "retryable": True,
        }
    assert busy_with(other) == 0
    assert "the-lost-one" not in other.log()


def restarts_of(instance: AppProcess) -> int:
    """How often its language model's worker was started anew."""
    metrics = instance.client.get("/metrics", headers={"Authorization": f"Bearer {KEY}"}).text
    (count,) = re.findall(r'^llm_worker_restarts_total\{worker="generator"\} (\d+)', metrics, re.MULTILINE)
    return int(count)


def test_a_request_that_ends_a_worker_is_sent_to_no_other_instance(
    balancer: Balancer, instances: list[AppProcess]
) -> None:
    before = sum(map(restarts_of, instances))
    response = balancer.client.post(GENERATE, json=said("[[crash]] uno"))
    assert (response.status_code, response.json()["error"]["type"]) == (503, "engine_restarted")
    wait_until(lambda: sum(map(restarts_of, instances)) > before, "a worker is started anew")
    wait_until(lambda: all(instance.is_ready() for instance in instances), "both are ready")
    assert sum(map(restarts_of, instances)) == before + 1


def test_a_stream_arrives_piece_by_piece(balancer: Balancer, instances: list[AppProcess]) -> None:
    check_stream(balancer.client, lambda: any(busy_with(instance) for instance in instances))


def test_generation_stops_when_the_caller_leaves_the_balancer(balancer: Balancer, instances: list[AppProcess]) -> None:
    body = said("[[words:250]] [[slow:100]] uno", stream=True)
    with balancer.client.stream("POST", GENERATE, json=body) as response:
        assert response.status_code == 200
        lines = response.iter_lines()
        next(lines)
        assert any(busy_with(instance) for instance in instances)
    wait_until(lambda: not any(busy_with(instance) for instance in instances), "it has stopped", 20)


def test_key_and_request_id_reach_the_instance(balancer: Balancer, instances: list[AppProcess]) -> None:
    check_key_and_request_id(balancer.client)
    wait_until(lambda: "from-the-page" in balancer.log(), "the balancer's log names it")
    assert KEY not in balancer.log()


def test_a_body_that_is_too_large_is_refused_in_the_services_own_words(
    balancer: Balancer, instances: list[AppProcess]
) -> None:
    response = balancer.client.post("/api/llm/embed", content=b"x" * (8 * 1024 * 1024 + 1))
    assert (response.status_code, response.json()["error"]["type"]) == (413, "request_too_large")


def test_metrics_are_each_instances_own(balancer: Balancer, instances: list[AppProcess]) -> None:
    assert balancer.client.get("/metrics").status_code == 404


def test_one_ready_instance_is_enough_and_without_any_callers_get_a_retryable_error(
    balancer: Balancer, instances: list[AppProcess]
) -> None:
    assert balancer.client.get("/readyz").status_code == 200
    instances[0].kill()
    assert {balancer.client.get("/readyz").status_code for _ in range(6)} == {200}
    instances[1].kill()
    for response in (balancer.client.get("/readyz"), balancer.client.post(GENERATE, json=said("hola"))):
        assert response.status_code == 503
        assert response.json()["error"]["retryable"] is True


def test_killing_one_of_two_leaves_the_other_answering_and_it_is_used_again_when_it_is_back(
    direct: AppProcess, instances: list[AppProcess]
) -> None:
    wait_until_all_are_asked(direct, instances)
    instances[0].kill()
    assert {ask(direct) for _ in range(6)} == {"llm_service"}
    instances[0].start()
    instances[0].wait_until_ready()
    wait_until_all_are_asked(direct, instances)


def test_killing_every_instance_under_fifty_questions_fails_none_of_them(
    direct: AppProcess, instances: list[AppProcess]
) -> None:
    wait_until_all_are_asked(direct, instances)
    with kept_busy(lambda: ask(direct), callers=50) as served:
        for instance in instances:
            instance.kill()
    assert set(served) >= {"llm_service", "none"}
