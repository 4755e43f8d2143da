"""The log of the backend as a process: every line one record, and nothing in it that is somebody's own."""

import contextlib
import json
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from free_ports import free_port
from tests.backend_process import answers, launch, wait_until
from tests.fake_llm_service import FakeLLMService
from tests.logged_backend import TEXT_LINE, LoggedBackend, logged_backend

# No entry of its own: its vector is needed too.
DOG = "¿Cómo se dice perro grande en bora?"
FORGED = '\r\n{"timestamp": "x", "level": "info", "logger": "access", "process": "http", "event": "forged"}\r\n'
KEY = "llave-del-backend"
SERVICE_KEY = "llave-del-servicio"
HEADERS = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture(scope="module")
def variables(running_service: FakeLLMService, shared_database: str) -> dict[str, str]:
    return {"DATABASE_URL": shared_database, **VARIABLES, "LLM_SERVICE_URL": with_password(running_service.url)}


def with_password(url: str) -> str:
    return url.replace("http://", "http://nadie:contrasena@")


VARIABLES = {
    "LLM_SERVICE_API_KEY": SERVICE_KEY,
    "BACKEND_API_KEY": KEY,
    "LLM_SERVICE_BREAKER_FAILURES": "100",
    "LLM_SERVICE_RETRY_RATIO": "0",
    "RAG_WORDING": "always",
}


@pytest.fixture(scope="module")
def running_backend(tmp_path_factory: pytest.TempPathFactory, variables: dict[str, str]) -> Iterator[LoggedBackend]:
    with logged_backend(tmp_path_factory.mktemp("logs") / "log", **variables) as running:
        running.client.headers.update(HEADERS)
        yield running


@pytest.fixture
def backend(running_backend: LoggedBackend, service: FakeLLMService) -> LoggedBackend:
    return running_backend.from_here()


def ask(backend: LoggedBackend, query: str = DOG, request_id: str = "", **more: Any) -> httpx.Response:
    headers = {"X-Request-ID": request_id or backend.request_id}
    return backend.client.post("/api/rag/query", json={"query": query, **more}, headers=headers)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_question_has_one_line_that_says_how_it_was_answered(backend: LoggedBackend, *, stream: bool) -> None:
    assert ask(backend, stream=stream).status_code == 200
    line = backend.access_line()
    assert line.pop("total_ms") >= line.pop("llm_ms") > 0
    assert line.pop("retrieval_ms") > 0
    assert line.pop("timestamp")
    assert line == {
        "level": "info",
        "logger": "access",
        "process": "http",
        "event": "request",
        "request_id": backend.request_id,
        "method": "POST",
        "route": "/api/rag/query",
        "status": 200,
        "queue_ms": 1.0,
        "ttft_ms": 2.0,
        "tokens_out": 9,
        "model": "fake-model",
        "served_by": "llm_service",
        "answer_mode": "generated",
        "degraded": False,
        "cache": "miss",
        "key": "default",
    }


def test_the_id_goes_on_to_the_service(backend: LoggedBackend, service: FakeLLMService) -> None:
    ask(backend)
    asked = [call for call in service.calls if call["headers"].get("x-request-id") == backend.request_id]
    assert [call["path"] for call in asked] == ["embed", "generate"]


def test_what_goes_wrong_on_the_way_carries_the_id(backend: LoggedBackend, service: FakeLLMService) -> None:
    service.mode = "500"
    assert ask(backend).json()["served_by"] == "none"
    line = backend.access_line()
    assert (line["served_by"], line["answer_mode"], line["degraded"]) == ("none", "extractive", True)
    assert "tokens_out" not in line
    about = {record["event"] for record in backend.records() if record.get("request_id") == backend.request_id}
    assert {"llm service fault", "provider failed", "answering without a model", "request"} <= about
    fault = next(record for record in backend.records() if record["event"] == "llm service fault")
    assert fault["url"] == service.url


def test_an_error_is_named(backend: LoggedBackend) -> None:
    assert ask(backend, "").status_code == 422
    line = backend.access_line()
    assert (line["status"], line["error"], line["route"]) == (422, "invalid_request", "/api/rag/query")
    refused = backend.client.get("/api/rag/stats", headers={"Authorization": "no", "X-Request-ID": "id-2"})
    assert refused.status_code == 401
    line = backend.access_line("id-2")
    assert (line["status"], line["error"], line["route"]) == (401, "unauthorized", "/api/rag/stats")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_caller_who_leaves_is_499(backend: LoggedBackend, service: FakeLLMService, *, stream: bool) -> None:
    if stream:
        service.mode = "stream_stall"
    else:
        service.delay_s = 60.0
    body = json.dumps({"query": DOG, "stream": stream, "draft": stream}).encode()
    head = (
        f"POST /api/rag/query HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
        f"X-Request-ID: {backend.request_id}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", backend.port), timeout=30) as connection:
        connection.sendall(head.encode() + body)
        if stream:
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
        else:
            wait_until(lambda: "generate" in service.paths())
    assert backend.access_line()["status"] == 499


def test_probes_are_not_logged_and_paths_of_documents_neither(backend: LoggedBackend) -> None:
    backend.client.get("/livez")
    backend.client.delete("/api/rag/documents/documento-secreto", headers={"X-Request-ID": backend.request_id})
    assert backend.access_line()["route"] == "/api/rag/documents/{document_id:path}"
    assert "documento-secreto" not in backend.text()
    assert not [record for record in backend.records() if record.get("route") in ("/livez", "/readyz")]


def misuse(backend: LoggedBackend, service: FakeLLMService) -> list[str]:
    """Send what looks like log lines wherever something can be sent; return what must not be in the log."""
    question = f"¿Cómo se dice pregunta-secreta? {FORGED}\x1b[2J"
    history = [{"role": "user", "content": question}, {"role": "assistant", "content": question}]
    document = {"id": "documento-1", "kind": "text", "content": f"texto-secreto {FORGED}", "metadata": {"x": FORGED}}
    ask(backend, question)
    ask(backend, question, request_id="id-2", stream=True)
    backend.client.get("/api/rag/search", params={"q": question})
    backend.client.post("/api/rag/documents", json={"documents": [document]})
    backend.client.request("DELETE", "/api/rag/documents/clave-secreta%0d%0aforged")
    for mode in ("quoting", "400", "garbage", "stream_error", "short_vectors"):
        service.mode = mode
        before = service.paths().count("generate")
        ask(backend, history=history)
        ask(backend, history=history, stream=True, draft=True)
        assert service.paths().count("generate") > before or mode == "short_vectors"
    backend.client.get("/nadie%0d%0aforged%1b%e2%80%a8")
    # Header values with control characters end at the HTTP parser; these are as bad as come through.
    key = f"Authorization: Bearer {KEY}\r\nConnection: close\r\n"
    for header in (b'X-Request-ID: x" forged=1', b"X-Request-ID: \xc2\x85forged", b"X-Request-ID: " + b"a" * 4000):
        answer = backend.send_raw(b"GET /api/rag/stats HTTP/1.1\r\nHost: x\r\n" + key.encode() + header + b"\r\n\r\n")
        assert b" 200 " in answer.partition(b"\r\n")[0]
    backend.send_raw(b"forged\x1b \r\n\r\n")
    backend.client.get("/last%0aone")
    backend.wait_for("/last")
    return [
        "pregunta-secreta",
        "texto-secreto",
        "clave-secreta",
        service.answer,
        KEY,
        SERVICE_KEY,
        "contrasena",
        "x1b[2J",
    ]


def test_nothing_sent_forges_a_json_line_or_is_kept(backend: LoggedBackend, service: FakeLLMService) -> None:
    hidden = misuse(backend, service)
    for record in backend.records():
        assert {"timestamp", "level", "logger", "process", "event"} <= set(record)
        assert record["event"] != "forged"
        assert record.get("route") in (None, "unmatched") or "forged" not in json.dumps(record)
    assert not [word for word in hidden if word in backend.text()]


def test_the_servers_and_the_drivers_lines_look_the_same_and_hide_the_password(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"postgresql://alguien:contrasena-secreta@127.0.0.1:{probe.getsockname()[1]}/x"
    with logged_backend(tmp_path / "log", 503, DATABASE_URL=nobody) as backend:
        backend.wait_for("database not ready")
        backend.wait_for("psycopg")
    records = backend.records()
    assert {record["logger"] for record in records} >= {"uvicorn.error", "startup", "psycopg.pool"}
    assert "Started server process" in records[0]["event"]
    assert "contrasena" not in backend.text()


def test_on_a_terminal_lines_are_for_people(shared_database: str) -> None:
    pty = pytest.importorskip("pty", reason="pseudo-terminals are POSIX only")
    ours, theirs = pty.openpty()
    port = free_port()
    with os.fdopen(theirs, "w") as terminal:
        process = launch(port, terminal, DATABASE_URL=shared_database)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            wait_until(lambda: answers(client, "/livez", 200), process)
        first = os.read(ours, 4096).decode().split("\r\n")[0]
    finally:
        process.terminate()
        with contextlib.suppress(OSError):  # a terminal nobody writes to any more
            while os.read(ours, 4096):
                pass
        process.wait(60)
        os.close(ours)
    assert TEXT_LINE.match(first), first


def test_the_local_models_process_logs_as_the_backend_does(shared_database: str, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="bora-") as data:
        settings = {"LLM_SERVICE_ENABLED": "false", "LLM_MODEL": "no/such-model", "DATA_DIR": data}
        with logged_backend(tmp_path / "log", DATABASE_URL=shared_database, **settings) as backend:
            ask(backend)
            backend.wait_for("could not be loaded")
            records = [record for record in backend.records() if record["process"] == "local_models"]
    assert any("could not be loaded" in record["event"] for record in records), backend.text()
