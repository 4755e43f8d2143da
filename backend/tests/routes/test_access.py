"""Keys with scopes, hosts and origins, on a real socket."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from service_kit.keys import KeyRing

from adapters.llm_service.config import ServiceConfig
from adapters.llm_service_adapter import LLMServiceAdapter
from openapi_examples import example_requests, open_paths
from tests.backend_process import wait_until
from tests.backend_server import running_backend
from tests.fake_llm_service import FakeLLMService

DOCUMENT = {"documents": [{"id": "x", "kind": "phrase", "content": "perro: oohííbye"}]}
REPORT = {"kind": "error", "entry": "x"}
ADMIN, ASK = "llave-de-todo", "llave-de-ana"
NOWHERE: dict[str, Any] = {
    "database_url": "postgresql://x@127.0.0.1:9/x",
    "database_timeout": 0.3,
    "llm_service_url": "http://127.0.0.1:9",
}


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    file = tmp_path_factory.mktemp("keys") / "keys"
    file.write_text(f"ana:ask:{ASK}\n")
    file.chmod(0o600)
    with running_backend(backend_api_key=ADMIN, backend_keys_file=file, **NOWHERE) as client:
        yield client


@pytest.fixture(scope="module")
def bare() -> Iterator[httpx.Client]:
    with running_backend(**NOWHERE) as client:
        yield client


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"bearer {key}"}


def test_a_key_to_ask_asks_and_changes_no_document(locked: httpx.Client) -> None:
    for answer in (
        locked.post("/api/rag/documents", json=DOCUMENT, headers=bearer(ASK)),
        locked.delete("/api/rag/documents/x", headers=bearer(ASK)),
        locked.get("/metrics", headers=bearer(ASK)),
        locked.get("/api/rag/reports", headers=bearer(ASK)),
        locked.get("/api/rag/reports?format=csv", headers=bearer(ASK)),
        locked.delete("/api/rag/reports/1", headers=bearer(ASK)),
        locked.get("/api/rag/sources", headers=bearer(ASK)),
        locked.delete("/api/rag/sources?name=x", headers=bearer(ASK)),
        locked.post("/api/rag/uploads?name=x.csv&dry_run=true", content=b"x", headers=bearer(ASK)),
    ):
        assert (answer.status_code, answer.json()["error"]["type"]) == (403, "forbidden")
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope"'
    assert locked.post("/api/rag/reports", json=REPORT, headers=bearer(ASK)).status_code == 200
    assert locked.post("/api/rag/reports", json=REPORT).status_code == 401
    # Past the key, the database is away.
    for key, answer in (
        (ASK, locked.post("/api/rag/query", json={"query": "perro"}, headers=bearer(ASK))),
        (ASK, locked.get("/api/rag/stats", headers=bearer(ASK))),
        (ADMIN, locked.post("/api/rag/documents", json=DOCUMENT, headers=bearer(ADMIN))),
        (ADMIN, locked.delete("/api/rag/documents/x", headers=bearer(ADMIN))),
        (ADMIN, locked.get("/api/rag/reports", headers=bearer(ADMIN))),
        (ADMIN, locked.get("/api/rag/sources", headers=bearer(ADMIN))),
    ):
        assert (answer.status_code, answer.json()["error"]["type"]) == (503, "retrieval_unavailable"), key


def test_every_operation_that_is_said_to_need_the_key_does(locked: httpx.Client) -> None:
    description = locked.get("/openapi.json", headers=bearer(ADMIN)).json()
    assert open_paths(description) == {"/livez", "/readyz"}
    assert locked.post("/api/rag/uploads?name=x.csv", content=b"x").status_code == 401
    for each in example_requests(description):
        for headers, is_refused in (({}, True), (bearer("wrong"), True), (bearer(ADMIN), False)):
            answer = locked.request(each.method, each.path, params=each.query, json=each.body, headers=headers)
            assert (answer.status_code == 401) is (is_refused and each.path not in open_paths(description)), each


def test_without_the_key_only_page_and_probes_answer(locked: httpx.Client) -> None:
    for path in ("/", "/app.js", "/livez"):
        assert locked.get(path).status_code == 200, path
    for path in ("/docs", "/openapi.json"):
        answer = locked.get(path, headers=bearer("no"))
        assert (answer.status_code, answer.json()["error"]["type"]) == (401, "unauthorized"), path
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_use_is_counted_by_the_keys_name(locked: httpx.Client) -> None:
    def counted() -> float:
        text = locked.get("/metrics", headers=bearer(ADMIN)).text
        assert ASK not in text
        lines = [line for line in text.splitlines() if line.startswith('backend_key_requests_total{key="ana"}')]
        return float(lines[0].split()[-1]) if lines else 0.0

    before = counted()
    locked.get("/api/rag/stats", headers=bearer(ASK))
    wait_until(lambda: counted() > before)


@pytest.mark.parametrize("path", ["/", "/api/rag/stats", "/api/rag/search?q=perro", "/docs", "/metrics"])
def test_a_page_of_another_name_reads_nothing(bare: httpx.Client, path: str) -> None:
    answer = bare.get(path, headers={"Host": "evil.example"})
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "untrusted_host")
    assert answer.headers["X-Request-ID"]
    assert bare.get(path, headers={"Host": "localhost:8000"}).status_code in (200, 503)


def test_a_page_of_another_name_or_origin_writes_nothing(bare: httpx.Client) -> None:
    for headers, status in (
        ({"Host": "evil.example"}, 400),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": str(bare.base_url).rstrip("/")}, 503),
        ({"Origin": "http://localhost:5173"}, 503),
        ({}, 503),
    ):
        assert bare.post("/api/rag/documents", json=DOCUMENT, headers=headers).status_code == status, headers
        assert bare.delete("/api/rag/documents/x", headers=headers).status_code == status, headers


def test_probes_answer_any_name(bare: httpx.Client) -> None:
    assert bare.get("/livez", headers={"Host": "pod.cluster.example"}).status_code == 200


@pytest.mark.anyio
async def test_the_services_key_may_have_any_letters(service: FakeLLMService) -> None:
    adapter = LLMServiceAdapter(ServiceConfig(urls=(service.url,), timeout_s=10, api_key="contraseña-ключ"))
    await adapter.embed_texts(["perro"])
    await adapter.close()
    assert KeyRing("contraseña-ключ").find([service.calls[0]["headers"]["authorization"].encode("latin-1")])
