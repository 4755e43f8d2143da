import json
import socket
import time
from collections.abc import Iterator

import pytest

from tests.api.openai_clients import LONG, idle
from tests.api.service_process import ServiceProcess, eventually, leave_when_it_runs, question, running_service


@pytest.fixture(scope="module")
def service() -> Iterator[ServiceProcess]:
    with running_service() as process:
        yield process


def leave_during(service: ServiceProcess, *, stream: bool) -> None:
    """Ask for a long answer and hang up while it is being generated."""
    body = question(LONG, stream=stream, max_new_tokens=2000)
    if stream:
        with service.client.stream("POST", "/api/llm/generate", json=body) as response:
            next(response.iter_lines())
    else:
        leave_when_it_runs(service, "/api/llm/generate", body)


def test_generation_stops_when_the_client_leaves(service: ServiceProcess) -> None:
    leave_during(service, stream=False)
    eventually(lambda: idle(service), "its place is free")
    eventually(lambda: '"status": 499' in service.log(), "the log says that the client left")


def test_a_stream_stops_when_the_client_leaves(service: ServiceProcess) -> None:
    leave_during(service, stream=True)
    eventually(lambda: idle(service), "its place is free")


def test_a_request_that_waits_leaves_the_queue_with_its_client() -> None:
    with running_service(LLM_MAX_BATCH="1") as service:
        body = question(LONG, max_new_tokens=2000)
        with service.client.stream("POST", "/api/llm/generate", json=body | {"stream": True}) as running:
            lines = running.iter_lines()  # httpx closes the connection when this goes
            next(lines)
            leave_when_it_runs(service, "/api/llm/generate", question("[[crash]] hola"), waiting=1)
            eventually(lambda: service.health()["queue"]["waiting"] == 0, "nobody waits")
            assert service.health()["queue"]["running"] == 1
        eventually(lambda: idle(service), "all is quiet")
        assert service.health()["restarts"] == 0, service.log()


def test_a_hundred_callers_who_leave_take_no_place_along(service: ServiceProcess) -> None:
    body = json.dumps(question(LONG)).encode()
    head = (
        f"POST /api/llm/generate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    for _ in range(100):
        with socket.create_connection(("127.0.0.1", service.port)) as connection:
            connection.sendall(head.encode() + body)
            time.sleep(0.005)
    eventually(lambda: idle(service), "all places are free")
    assert service.generate("hola").status_code == 200
