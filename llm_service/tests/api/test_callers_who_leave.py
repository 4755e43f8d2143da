import json
import socket
import time

from tests.api.openai_clients import LONG
from tests.api.service_process import ServiceProcess, eventually, idle, leave_when_it_runs, question


def test_generation_stops_when_the_client_leaves(service: ServiceProcess) -> None:
    leave_when_it_runs(service, "/api/llm/generate", question(LONG, max_new_tokens=2000))
    eventually(lambda: idle(service), "its place is free")


def test_a_stream_stops_when_the_client_leaves(service: ServiceProcess) -> None:
    body = question(LONG, stream=True, max_new_tokens=2000)
    with service.client.stream("POST", "/api/llm/generate", json=body) as response:
        next(response.iter_lines())
    eventually(lambda: idle(service), "its place is free")


def test_a_request_that_waits_leaves_the_queue_with_its_client(narrow: ServiceProcess) -> None:
    body = question(LONG, max_new_tokens=2000, stream=True)
    with narrow.client.stream("POST", "/api/llm/generate", json=body) as running:
        lines = running.iter_lines()  # httpx closes the connection when this goes
        next(lines)
        leave_when_it_runs(narrow, "/api/llm/generate", question("[[crash]] hola"), waiting=1)
        eventually(lambda: narrow.health()["queue"]["waiting"] == 0, "nobody waits")
        assert narrow.health()["queue"]["running"] == 1
    eventually(lambda: idle(narrow), "all is quiet")
    assert narrow.health()["restarts"] == 0, narrow.log()


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
