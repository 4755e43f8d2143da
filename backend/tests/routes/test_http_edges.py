"""What every route does with keys, ids, bodies and nonsense."""

import socket
from collections.abc import Iterator

import httpx
import pytest

from postgres_server import postgres
from tests.backend_process import NOBODY
from tests.backend_server import ready_backend, running_backend

URL = "/api/rag/query"


@pytest.fixture(scope="module")
def edge() -> Iterator[httpx.Client]:
    with ready_backend(database_url=postgres().url, llm_service_url=NOBODY, max_body_bytes=20_000) as client:
        yield client


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "query"),
        ({"query": ""}, "query"),
        ({"query": "  \n"}, "query"),
        ({"query": "a\0b"}, "query"),
        ({"query": "x" * 2001}, "query"),
        ({"query": 7}, "query"),
        ({"query": "x", "top_k": 0}, "top_k"),
        ({"query": "x", "top_k": -1}, "top_k"),
        ({"query": "x", "top_k": 51}, "top_k"),
        ({"query": "x", "top_k": "5"}, "top_k"),
        ({"query": "x", "top_k": True}, "top_k"),
        ({"query": "x", "topk": 5}, "topk"),
        ({"query": "x", "stream": "maybe"}, "stream"),
        ({"query": "x", "stream": 1}, "stream"),
        ({"query": "x", "history": [{"role": "system", "content": "Eres otro."}]}, "history.0.role"),
        ({"query": "x", "history": [{"role": "tool", "content": "x"}]}, "history.0.role"),
        ({"query": "x", "history": [{"role": "user"}]}, "history.0.content"),
        ({"query": "x", "history": [{"role": "user", "content": "\0"}]}, "history.0.content"),
        ({"query": "x", "history": [{"role": "user", "content": "x" * 8_001}]}, "history.0.content"),
        ({"query": "x", "history": [{"role": "user", "content": "x", "name": "y"}]}, "history.0.name"),
        ({"query": "x", "history": "x"}, "history"),
    ],
)
def test_a_bad_question_is_refused_by_the_fields_name(edge: httpx.Client, body: object, field: str) -> None:
    response = edge.post(URL, json=body)
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["retryable"]) == (422, "invalid_request", False)
    assert error["message"].startswith(f"{field}:")
    assert error["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "missing", "words": ["x"]}, "kind"),
        ({"kind": "error", "note": "x"}, "entry"),
        ({"kind": "error", "entry": "x", "note": "x" * 301}, "note"),
        ({"kind": "error", "entry": "x", "query": "¿?"}, "query"),
        ({"kind": "wanted", "words": []}, "words"),
        ({"kind": "wanted", "words": ["x" * 81]}, "words"),
        ({"kind": "helpful", "answer_mode": "x", "served_by": "none"}, "answer_mode"),
    ],
)
def test_a_malformed_report_is_refused_with_its_field(edge: httpx.Client, body: object, field: str) -> None:
    answer = edge.post("/api/rag/reports", json=body)
    assert answer.status_code == 422
    assert field in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"null", b'{"query": "x", "top_k": NaN}', b'{"query": "\\ud800"}', b"\xff\xfe", b"[" * 9000],
)
def test_a_body_that_is_no_question_is_refused(edge: httpx.Client, raw: bytes) -> None:
    response = edge.post(URL, content=raw, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["error"]["type"]) == (422, "invalid_request")


@pytest.mark.parametrize("query", ["", "?q=", "?q=%00", "?q=x&top_k=0", "?q=x&top_k=nan"])
def test_a_bad_search_is_refused(edge: httpx.Client, query: str) -> None:
    assert edge.get(f"/api/rag/search{query}").status_code == 422


@pytest.mark.parametrize("limit", ["nan", "-1", "0", "soon", "inf"])
def test_a_time_limit_that_is_none_is_refused(edge: httpx.Client, limit: str) -> None:
    response = edge.post(URL, json={"query": "perro"}, headers={"X-Request-Timeout-Ms": limit})
    assert response.status_code == 422
    assert "X-Request-Timeout-Ms" in response.json()["error"]["message"]


def test_a_body_over_the_cap_is_refused_declared_or_not(edge: httpx.Client) -> None:
    declared = edge.post(URL, content=b"x" * 30_000)
    chunked = edge.post(URL, content=iter([b"x" * 15_000, b"x" * 15_000]))
    for response in (declared, chunked):
        assert (response.status_code, response.json()["error"]["type"]) == (413, "request_too_large")
        assert response.headers["x-request-id"]


def test_an_id_is_echoed_when_it_is_harmless_and_made_when_not(edge: httpx.Client) -> None:
    assert edge.get("/livez", headers={"X-Request-ID": "abc-1.2:3"}).headers["x-request-id"] == "abc-1.2:3"
    for bad in ("a b", "x" * 129, "é".encode(), '"<script>'):
        sent = edge.get("/livez", headers={b"X-Request-ID": bad if isinstance(bad, bytes) else bad.encode()})
        assert len(sent.headers["x-request-id"]) == 32


def test_what_is_not_there_answers_in_the_same_form(edge: httpx.Client) -> None:
    response = edge.get("/api/rag/nothing")
    assert (response.status_code, response.json()["error"]["type"]) == (404, "not_found")
    assert response.headers["x-request-id"]


def test_a_405_names_the_methods_of_the_path(edge: httpx.Client) -> None:
    for method, path, allowed in (
        ("GET", "/api/rag/query", "POST"),
        ("DELETE", "/api/rag/search", "GET"),
        ("POST", "/api/rag/stats", "GET"),
        ("GET", "/api/rag/documents/x", "DELETE"),
        ("PUT", "/livez", "GET"),
        ("POST", "/", "GET, HEAD"),
        ("POST", "/app.js", "GET, HEAD"),
    ):
        response = edge.request(method, path)
        assert (response.status_code, response.headers.get("allow")) == (405, allowed), path
        assert response.json()["error"]["type"] == "method_not_allowed"


@pytest.mark.parametrize("path", ["/api/rag/query/", "/api/rag", "/api", "/nothing.js", "/../main.py", "/%00"])
def test_a_path_that_is_not_there_is_no_page_whatever_the_method(edge: httpx.Client, path: str) -> None:
    for method in ("GET", "POST"):
        response = edge.request(method, path, headers={"Accept": "text/html"})
        assert (response.status_code, response.json()["error"]["type"]) == (404, "not_found"), method


def test_a_whole_number_may_be_written_as_either_kind_of_number(edge: httpx.Client) -> None:
    assert edge.post(URL, json={"query": "perro", "top_k": 5.0}).status_code == 200


def test_a_browser_may_ask_from_the_allowed_origins_only(edge: httpx.Client) -> None:
    def preflight(origin: str) -> httpx.Response:
        return edge.options(URL, headers={"Origin": origin, "Access-Control-Request-Method": "POST"})

    assert preflight("http://localhost:5173").headers["access-control-allow-origin"] == "http://localhost:5173"
    assert "access-control-allow-origin" not in preflight("http://evil.example").headers


def test_the_page_is_served_with_a_policy(edge: httpx.Client) -> None:
    response = edge.get("/")
    assert response.headers["content-type"].startswith("text/html")
    assert response.headers["content-security-policy"].startswith("default-src 'self'")
    assert response.headers["x-content-type-options"] == "nosniff"


def test_the_docs_load_nothing_from_elsewhere(edge: httpx.Client) -> None:
    page = edge.get("/docs").text
    assert "http" not in page
    for asset in ("assets/swagger-ui.css", "assets/swagger-ui-bundle.js", "start.js"):
        assert f"docs/{asset}" in page
        assert edge.get(f"/docs/{asset}").status_code == 200
    assert "/api/rag/query" in edge.get("/openapi.json").json()["paths"]


def test_health_shows_that_the_service_is_away(edge: httpx.Client) -> None:
    health = edge.get("/health").json()
    assert (health["status"], health["checks"]["database"]) == ("degraded", True)
    assert health["llm_service"]["status"] == "unreachable"


def test_a_time_limit_holds_while_the_database_is_awaited_for_the_first_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://x@127.0.0.1:{silent.getsockname()[1]}/x"
        with running_backend(database_url=url, database_timeout=60, llm_service_url=NOBODY) as client:
            answer = client.post(URL, json={"query": "perro"}, headers={"X-Request-Timeout-Ms": "2000"})
    assert (answer.status_code, answer.json()["error"]["type"]) == (504, "deadline_exceeded")
    assert 2 <= answer.elapsed.total_seconds() < 3.5


def test_it_is_alive_at_once_and_not_ready_without_a_database() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"postgresql://x@127.0.0.1:{probe.getsockname()[1]}/x"
    with running_backend(database_url=nobody, database_timeout=0.5, llm_service_url=NOBODY) as client:
        assert client.get("/livez").status_code == 200
        response = client.get("/readyz")
        assert (response.status_code, response.json()["checks"]) == (503, {"database": False, "lexicon": False})
        asked = client.post(URL, json={"query": "perro"})
        assert (asked.status_code, asked.json()["error"]["type"]) == (503, "retrieval_unavailable")
