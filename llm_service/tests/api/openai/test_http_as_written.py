"""Requests as other clients write them: JDK's upgrade, HTTP/1.0, HEAD, bodies that are no JSON."""

import gzip
import http.client
import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.api.operations.log_lines import send_raw
from tests.api.service_process import KEY, ServiceProcess, question

CHAT = {"model": "default", "messages": [{"role": "user", "content": "uno dos"}], "temperature": 0}


def exchange(service: ServiceProcess, head: str, body: bytes) -> bytes:
    lines = f"{head}\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return send_raw(service, lines.encode() + body)


def test_an_offered_upgrade_is_ignored_and_the_body_is_read(service: ServiceProcess) -> None:
    upgrade = "Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk"
    answer = exchange(service, f"POST /v1/chat/completions HTTP/1.1\r\n{upgrade}", json.dumps(CHAT).encode())
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'"content":"uno dos"' in answer
    # JDK's client offers one with each connection.
    assert "upgrade request" not in service.log()
    assert "WebSocket" not in service.log()


def test_a_stream_over_http_1_0_is_plain_text_until_the_end(service: ServiceProcess) -> None:
    answer = exchange(service, "POST /v1/chat/completions HTTP/1.0", json.dumps({**CHAT, "stream": True}).encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert body.startswith(b"data: {")
    assert body.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/api/llm/health", "/metrics", "/version", "/v1/models", "/"])
def test_head_is_get_without_its_body(service: ServiceProcess, path: str) -> None:
    head, get = service.client.head(path), service.client.get(path)
    assert head.status_code == get.status_code == 200
    assert head.headers["content-type"] == get.headers["content-type"]
    assert head.content == b""


def test_head_of_what_is_posted_is_refused(service: ServiceProcess) -> None:
    answer = service.client.head("/api/llm/generate")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


JSON = {"Content-Type": "application/json"}
TEXT = json.dumps(question("hola"))
BAD_BODIES = [
    (TEXT.encode(), {}, 415, "the Content-Type is missing; send Content-Type: application/json"),
    (TEXT.encode(), {"Content-Type": "text/plain"}, 415, "the Content-Type is text/plain"),
    (gzip.compress(TEXT.encode(), mtime=0), {**JSON, "Content-Encoding": "gzip"}, 415, "the body is encoded (gzip)"),
    ('{"messages": "mañana"}'.encode("latin-1"), JSON, 422, "the body is not UTF-8, which JSON must be (byte 16)"),
    (b'{"messages": [}', JSON, 422, "the body is not JSON: Expecting value (character 14)"),
    (b"", JSON, 422, "the body is empty; send JSON"),
    (b"[" * 100_000, JSON, 422, "the body is nested too deeply"),
    (b'{"seed": ' + b"9" * 5000 + b"}", JSON, 422, "the body is not JSON that can be read"),
]


@pytest.mark.parametrize(("body", "headers", "status", "words"), BAD_BODIES)
@pytest.mark.parametrize("path", ["/api/llm/generate", "/v1/chat/completions"])
def test_what_is_wrong_with_a_body_is_said(
    service: ServiceProcess, path: str, body: bytes, headers: dict[str, str], status: int, words: str
) -> None:
    answer = service.client.post(path, content=body, headers=headers)
    if path.startswith("/v1") and status == 422:
        status = 400
    assert answer.status_code == status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert error["message"].startswith(words)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": f"Bearer {KEY}"}, 413),
        ({"Authorization": "Bearer otra"}, 401),
        ({"Authorization": f"Bearer {KEY}", "Host": "example.org"}, 413),
    ],
)
def test_a_client_that_writes_before_it_reads_gets_its_refusal(
    guarded: ServiceProcess, headers: dict[str, str], status: int
) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{guarded.port}/v1/chat/completions", b"x" * 40_000_000, headers | JSON, method="POST"
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=20)
    with caught.value as answer:
        assert answer.code == status
        assert json.loads(answer.read())["error"]["message"]


def test_a_body_in_chunks_that_grows_too_large_is_refused(guarded: ServiceProcess) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", guarded.port, timeout=20)
    headers = {"Authorization": f"Bearer {KEY}", **JSON}
    connection.request("POST", "/api/llm/generate", (b"x" * 65536 for _ in range(40)), headers, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


def test_a_client_that_asks_first_sends_nothing(guarded: ServiceProcess) -> None:
    head = f"POST /api/llm/generate HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
    received = send_raw(guarded, f"{head}Expect: 100-continue\r\nContent-Length: 100000\r\n\r\n".encode())
    assert received.startswith(b"HTTP/1.1 413 ")


def test_a_path_of_openais_that_is_not_there_names_what_is(service: ServiceProcess) -> None:
    answer = service.client.post("/v1/audio/speech", json={})
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "not_found")
    described = service.client.get("/openapi.json").json()["paths"]
    there = {path for path in described if path.startswith("/v1/") and "{" not in path}
    asked, _, available = error["message"].partition("; available: ")
    assert asked == "not found: /v1/audio/speech"
    assert there == {path for path in available.split(", ") if path.startswith("/v1/")}
