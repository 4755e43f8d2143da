"""What operators read: one line for each request, in whatever form, which nobody can forge."""

import concurrent.futures
import re

import httpx
import pytest

from free_ports import free_port
from tests.api.operations.log_lines import access_line, json_lines, send_raw
from tests.api.service_process import (
    KEY,
    ServiceProcess,
    eventually,
    leave_when_it_runs,
    question,
    running_service,
)

SECRET = "pomelo-azul-y-tapir"
FORGED = "INFO http access: request status=200 forged=yes"


def ask(service: ServiceProcess, request_id: str, content: str = "uno dos tres", **fields: object) -> httpx.Response:
    return service.client.post(
        "/api/llm/generate", json=question(content, **fields), headers={"X-Request-ID": request_id}
    )


def test_a_log_that_is_no_terminal_is_json_line_by_line(service: ServiceProcess) -> None:
    ask(service, "plain")
    access_line(service, "plain")
    lines = json_lines(service)
    assert {"timestamp", "level", "logger", "process", "event"} <= set.intersection(*(set(line) for line in lines))
    assert {line["process"] for line in lines} <= {"http", "generator", "embedder"}
    # The server's own lines have no form of their own.
    assert any(line["logger"] == "uvicorn.error" for line in lines)


def test_the_access_line_tells_where_the_time_went_and_what_it_was_for(service: ServiceProcess) -> None:
    answer = ask(service, "told", "anotado uno dos [[slow:20]]", temperature=0).json()
    line = access_line(service, "told")
    assert (line["method"], line["route"], line["status"]) == ("POST", "/api/llm/generate", 200)
    assert (line["tokens_in"], line["tokens_out"]) == (answer["usage"]["prompt_tokens"], answer["tokens_generated"])
    assert (line["model"], line["cache"]) == (answer["model"], "miss")
    assert 0 <= line["queue_ms"] <= line["ttft_ms"] <= line["total_ms"]
    ask(service, "told-again", "anotado uno dos [[slow:20]]", temperature=0)
    assert access_line(service, "told-again")["cache"] == "hit"


def test_streams_and_openai_requests_are_told_alike(service: ServiceProcess) -> None:
    ask(service, "streamed", "uno dos tres [[slow:20]]", stream=True)
    line = access_line(service, "streamed")
    assert line["tokens_out"] == 3
    assert 0 < line["ttft_ms"] < line["total_ms"]
    body = {"model": "default", "messages": [{"role": "user", "content": "uno dos tres"}], "n": 2}
    service.client.post("/v1/chat/completions", json=body, headers={"X-Request-ID": "two-choices"})
    line = access_line(service, "two-choices")
    assert (line["route"], line["tokens_in"], line["tokens_out"]) == ("/v1/chat/completions", 3, 6)


def test_embeddings_are_told_by_their_number(service: ServiceProcess) -> None:
    headers = {"X-Request-ID": "vectors"}
    service.client.post("/api/llm/embed", json={"texts": ["uno dos", "tres"]}, headers=headers)
    line = access_line(service, "vectors")
    assert (line["texts"], line["tokens_in"], line["route"]) == (2, 3, "/api/llm/embed")


def test_the_route_is_the_template_whatever_the_path(service: ServiceProcess) -> None:
    service.client.get(f"/v1/models/{SECRET}", headers={"X-Request-ID": "templated"})
    line = access_line(service, "templated")
    assert (line["route"], line["status"], line["error"]) == ("/v1/models/{model:path}", 404, "model_not_found")
    assert SECRET not in service.log()
    service.client.get("/nobody/knows", headers={"X-Request-ID": "lost"})
    line = access_line(service, "lost")
    assert (line["route"], line["path"], line["status"]) == ("unmatched", "/nobody/knows", 404)


def test_who_left_is_told_as_499(service: ServiceProcess) -> None:
    body = question("uno [[words:5000]] [[slow:50]]", max_new_tokens=2000)
    leave_when_it_runs(service, "/api/llm/generate", body, "left-whole")
    assert access_line(service, "left-whole")["status"] == 499
    body["stream"] = True
    headers = {"X-Request-ID": "left-stream"}
    with service.client.stream("POST", "/api/llm/generate", json=body, headers=headers) as response:
        next(response.iter_lines())
    line = access_line(service, "left-stream")
    assert line["status"] == 499
    assert line["ttft_ms"] > 0
    # Leaving is nobody's fault.
    told = [line for line in json_lines(service) if str(line.get("request_id")).startswith("left-")]
    assert "error" not in {line["level"] for line in told}


def test_a_stream_that_broke_says_so(service: ServiceProcess) -> None:
    ask(service, "broken", "uno [[fail]]", stream=True)
    line = access_line(service, "broken")
    assert (line["status"], line["error"]) == (200, "generation_failed")


def test_the_workers_lines_carry_the_id_that_the_caller_sent(service: ServiceProcess) -> None:
    ask(service, "to-the-worker", "uno [[fail]]")

    def told() -> list[tuple[str, str]]:
        lines = [line for line in json_lines(service) if line.get("request_id") == "to-the-worker"]
        return [(line["event"], line["failure"]) for line in lines if line["process"] == "generator"]

    eventually(told, "the worker's line")
    assert told() == [("request failed", "generation_failed")]


def test_a_worker_that_ends_names_the_requests_that_it_had(service: ServiceProcess) -> None:
    assert ask(service, "deadly", "[[crash]]").status_code == 503
    access_line(service, "deadly")
    assert [line for line in json_lines(service) if line.get("request_ids") == ["deadly"]]


def test_one_id_may_be_used_by_many_at_once(service: ServiceProcess) -> None:
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask, service, "shared", f"palabra-{number} dos [[slow:30]]") for number in range(4)]
    assert [answer.result().status_code for answer in asked] == [200] * 4


def test_neither_questions_answers_texts_nor_keys_are_in_the_log(guarded: ServiceProcess) -> None:
    headers = {"Authorization": f"Bearer {KEY}", "X-Request-ID": "secret"}
    with httpx.Client(base_url=guarded.client.base_url, headers=headers, timeout=60) as client:
        for content in (SECRET, f"{SECRET} [[fail]]", f"{SECRET} [[reject]]", f"{SECRET} [[crash]]"):
            assert client.post("/api/llm/generate", json=question(content)).status_code != 401
            client.post("/api/llm/generate", json=question(content, stream=True))
        client.post("/api/llm/embed", json={"texts": [SECRET]})
        client.post("/api/llm/embed", json={"texts": [f"{SECRET} [[fail]]"]})
        client.post("/api/llm/generate", json={"messages": SECRET})
        client.post("/api/llm/generate", content=SECRET)
        chat = {"model": SECRET, "messages": [{"role": "user", "content": SECRET}]}
        client.post("/v1/chat/completions", json=chat)
        client.get("/version", params={"q": SECRET}, headers={"X-Request-ID": "secret-last"})
    access_line(guarded, "secret-last")
    assert SECRET not in guarded.log()
    assert KEY not in guarded.log()


HOSTILE = [
    pytest.param(b"GET /x%0d%0a" + FORGED.replace(" ", "%20").encode() + b" HTTP/1.1\r\nHost: [::1]\r\n", id="path"),
    pytest.param(b"GET /x%1b[2K%c2%85%e2%80%a8" + b"forged=yes HTTP/1.1\r\nHost: [::1]\r\n", id="terminal"),
    pytest.param(
        b"GET /version HTTP/1.1\r\nHost: [::1]\r\nX-Request-ID: a\x85\x0b" + FORGED.encode() + b"\r\n",
        id="request-id",
    ),
    pytest.param(
        b"GET /version HTTP/1.1\r\nHost: [::1]\r\nUser-Agent: a\x1b[2K\x85" + FORGED.encode() + b"\r\n",
        id="user-agent",
    ),
    pytest.param(b"GET /x\x0b\x0c\x1c" + FORGED.encode() + b" HTTP/1.1\r\nHost: [::1]\r\n", id="malformed"),
    pytest.param(b"FORGED\x0b" + FORGED.encode() + b" / HTTP/1.1\r\nHost: [::1]\r\n", id="method"),
]


@pytest.mark.parametrize("request_head", HOSTILE)
def test_nothing_that_a_client_sends_makes_a_line_of_its_own(
    service: ServiceProcess, configured: ServiceProcess, request_head: bytes
) -> None:
    for form in (service, configured):
        send_raw(form, request_head + b"Connection: close\r\n\r\n")
        form.client.get("/version", headers={"X-Request-ID": "afterwards"})
        eventually(lambda form=form: "afterwards" in form.log(), "the log is written")
    for line in json_lines(service):
        assert "forged" not in line
    written = configured.log()
    # ``splitlines`` also splits where some viewers do: at NEL, LS, VT.
    stamp = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z (INFO|WARNING|ERROR|DEBUG) +(http|generator|embedder) ")
    assert all(stamp.match(line) for line in written.splitlines())
    assert not set(written) - {"\n"} & set(map(chr, range(32)))
    assert not re.search(r"^.{0,60}forged=yes", written, re.MULTILINE)


def test_uvicorn_as_a_command_writes_the_same_form() -> None:
    port = str(free_port())
    with running_service(command=("-m", "uvicorn", "main:app", "--port", port), LLM_SERVICE_PORT=port) as service:
        service.client.get("/version", headers={"X-Request-ID": "by-command"})
        assert access_line(service, "by-command")["route"] == "/version"
        assert {"uvicorn.error", "access", "llm_service"} <= {line["logger"] for line in json_lines(service)}
