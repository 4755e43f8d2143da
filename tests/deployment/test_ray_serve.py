"""Ray Serve as deploy/ray configures it, with real replicas: what callers notice of it, and what they must not."""

from __future__ import annotations

import ipaddress
import json
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest

from app_process import ALONE, FAKES, AppProcess, running, start_backend
from conftest import wait_until, wait_until_dead
from deployment.ray_cluster import KEY, Cluster, Replica, ray_is_installed
from deployment.test_balancer import GENERATE, ask, check_key_and_request_id, check_stream, kept_busy, said

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow(of="ray"),
    pytest.mark.skipif(not ray_is_installed(), reason="no Ray in llm_service's environment (dev.py setup --dev)"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    ray = Cluster({**FAKES, "LLM_CACHE_MB": "0", "EMBED_CACHE_MB": "0"})
    try:
        ray.start()
        ray.deploy_by_command(min_replicas=1, max_replicas=1)
        yield ray
    finally:
        ray.stop()


@pytest.fixture
def one(cluster: Cluster) -> Replica:
    cluster.deploy(min_replicas=1, max_replicas=1)
    (replica,) = cluster.wait_for_replicas(1, "one replica is there")
    return replica


@pytest.fixture
def two(cluster: Cluster) -> list[Replica]:
    cluster.deploy(min_replicas=2, max_replicas=2)
    return cluster.wait_for_replicas(2, "both replicas are there")


@pytest.fixture(scope="module")
def backend(cluster: Cluster) -> Iterator[AppProcess]:
    # A replica that is killed fails what it had, all at once, which would open the circuit.
    patient = {"LLM_SERVICE_API_KEY": KEY, "LLM_SERVICE_BREAKER_FAILURES": "64"}
    process = start_backend(f"http://127.0.0.1:{cluster.port}", **ALONE, **patient)
    with running(process):
        yield process


def generate(cluster: Cluster, content: str) -> httpx.Response:
    return cluster.client.post(GENERATE, json=said(content))


def test_a_second_replica_comes_when_more_wait_than_one_should_have(cluster: Cluster, one: Replica) -> None:
    over = threading.Event()

    def keep_asking() -> None:
        while not over.is_set():
            assert generate(cluster, "[[words:10]] [[slow:50]] uno").status_code == 200

    cluster.deploy(min_replicas=1, max_replicas=2, target_ongoing_requests=2)
    with ThreadPoolExecutor(8) as pool:
        callers = [pool.submit(keep_asking) for _ in range(8)]
        try:
            cluster.wait_for_replicas(2, "a second replica is there")
        finally:
            over.set()
        for caller in callers:
            caller.result()


def test_both_replicas_serve_and_each_counts_its_own(cluster: Cluster, two: list[Replica]) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: generate(cluster, "[[slow:20]] uno dos tres"), range(32)))
    assert [answer.status_code for answer in answers] == [200] * 32
    assert {answer.headers["X-Replica"] for answer in answers} == {each.name for each in two}
    for each in two:
        assert 'llm_http_requests_total{method="POST",route="/api/llm/generate",status="200"}' in each.metrics()
    assert cluster.client.get("/metrics").status_code == 404


def test_a_stream_arrives_piece_by_piece(cluster: Cluster, two: list[Replica]) -> None:
    check_stream(cluster.client, lambda: any(each.running() for each in two))


@pytest.mark.parametrize("streamed", [True, False])
def test_generation_stops_when_the_caller_leaves(streamed: bool, cluster: Cluster, two: list[Replica]) -> None:
    body = said("[[words:400]] [[slow:100]] uno", stream=streamed)
    if streamed:
        with cluster.client.stream("POST", GENERATE, json=body) as response:
            lines = response.iter_lines()
            next(lines)
            assert sum(each.running() for each in two) == 1
    else:
        with ThreadPoolExecutor(1) as pool, httpx.Client(headers=cluster.client.headers, timeout=3) as impatient:
            asking = pool.submit(impatient.post, f"{cluster.client.base_url}{GENERATE}", json=body)
            wait_until(lambda: sum(each.running() for each in two) == 1, "it is generated")
            with pytest.raises(httpx.ReadTimeout):
                asking.result()
    # The answer would have taken 40 s.
    wait_until(lambda: not any(each.running() for each in two), "it has stopped", 10)


def test_key_and_request_id_are_the_services_own(cluster: Cluster, two: list[Replica]) -> None:
    check_key_and_request_id(cluster.client)


def test_nothing_listens_beyond_this_machine_but_serves_own_port_that_asks_for_the_token(
    cluster: Cluster, two: list[Replica]
) -> None:
    open_to_all = [
        (process.pid, each.laddr.port)
        for process in cluster.processes()
        for each in process.net_connections("inet")
        if each.status == psutil.CONN_LISTEN and not _is_loopback(each.laddr.ip)
    ]
    # Ray binds this one to all addresses whatever its options say (docs/ray.md).
    assert [pid for pid, _ in sorted(open_to_all)] == sorted(each.pid for each in two)
    for _, port in open_to_all:
        assert cluster.says_a_strangers_call(port) == "UNAUTHENTICATED"


def _is_loopback(host: str) -> bool:
    address = ipaddress.ip_address(host)
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def test_a_stranger_cannot_deploy(cluster: Cluster, two: list[Replica]) -> None:
    with httpx.Client() as stranger:
        assert cluster.ask_for(cluster.configuration(), stranger).status_code in (401, 403)


def test_requests_of_a_killed_replica_get_a_retryable_error_and_no_others_fail(
    cluster: Cluster, two: list[Replica]
) -> None:
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(generate, cluster, "[[words:100]] [[slow:20]] uno") for _ in range(8)]
        wait_until(lambda: sum(each.running() for each in two) == 8, "all are under way")
        doomed = max(two, key=Replica.running)
        had, workers = doomed.running(), doomed.workers()
        psutil.Process(doomed.pid).kill()
        outcomes = [each.result() for each in asked]
    assert Counter(each.status_code for each in outcomes) == {200: 8 - had, 503: had}
    for lost in outcomes:
        if lost.status_code == 503:
            error = lost.json()["error"]
            assert (error["type"], error["retryable"]) == ("engine_restarted", True)
            assert (error["request_id"], lost.headers["Retry-After"]) == (lost.headers["X-Request-ID"], "1")
    wait_until_dead(doomed.pid, *(worker.pid for worker in workers))
    replaced = cluster.wait_for_replicas(2, "another replica is there")
    assert doomed.name not in {each.name for each in replaced}


def test_a_stream_whose_replica_is_killed_ends_with_an_error(cluster: Cluster, two: list[Replica]) -> None:
    body = said("[[words:300]] [[slow:100]] uno", stream=True)
    with cluster.client.stream("POST", GENERATE, json=body) as response:
        lines = response.iter_lines()
        next(lines)
        (doomed,) = (each for each in two if each.name == response.headers["X-Replica"])
        psutil.Process(doomed.pid).kill()
        *_, event, data = [line for line in lines if line]
    assert event == "event: error"
    assert json.loads(data.removeprefix("data:"))["error"]["type"] == "engine_restarted"
    cluster.wait_for_replicas(2, "another replica is there")


def test_a_replica_killed_under_load_costs_the_backends_callers_nothing(
    backend: AppProcess, cluster: Cluster, two: list[Replica]
) -> None:
    wait_until(lambda: ask(backend) == "llm_service", "the service answers")
    with kept_busy(lambda: ask(backend)) as served:
        psutil.Process(two[0].pid).kill()
    assert set(served) == {"llm_service"}
    cluster.wait_for_replicas(2, "another replica is there")


def test_a_worker_that_dies_is_replaced_inside_its_replica(cluster: Cluster, two: list[Replica]) -> None:
    crashed = generate(cluster, "[[crash]] uno")
    assert (crashed.status_code, crashed.json()["error"]["type"]) == (503, "engine_restarted")
    assert crashed.headers["X-Replica"] in {each.name for each in two}
    wait_until(lambda: all(len(each.workers()) == 2 for each in two), "the worker is back")
    assert {each.name for each in cluster.replicas()} == {each.name for each in two}


def test_a_replica_whose_worker_does_not_come_back_is_replaced(cluster: Cluster, two: list[Replica]) -> None:
    broken, other = two

    def is_replaced() -> bool:
        try:
            for worker in broken.workers():
                worker.kill()
        except psutil.NoSuchProcess:
            return True
        return False

    wait_until(is_replaced, "the broken replica is gone")
    assert generate(cluster, "hola").headers["X-Replica"] == other.name
    replaced = cluster.wait_for_replicas(2, "another replica is there")
    assert {each.name for each in replaced} - {broken.name, other.name}


def test_a_replica_that_leaves_finishes_what_it_has(cluster: Cluster, two: list[Replica]) -> None:
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(generate, cluster, "[[words:100]] [[slow:10]] uno") for _ in range(8)]
        wait_until(lambda: all(each.running() for each in two), "both have some")
        cluster.deploy(min_replicas=1, max_replicas=1)
        answers = [each.result() for each in asked]
    assert [answer.status_code for answer in answers] == [200] * 8
    cluster.wait_for_replicas(1, "one replica is left")
    (left,) = {each.pid for each in two} - {each.pid for each in cluster.replicas()}
    wait_until_dead(left)
