"""Keys, hosts and origins, against the service as a process of its own."""

from pathlib import Path

import httpx
import pytest
from service_kit.keys import KeyRing
from service_kit.middleware.access import ApiKeys
from starlette.responses import PlainTextResponse

from middleware.access import needed_scope
from openapi_examples import example_requests, open_paths
from tests.api.operations.log_lines import access_line
from tests.api.service_process import ASK_KEY, KEY, ServiceProcess, eventually, question


def bearer(key: str) -> list[tuple[bytes, bytes]]:
    return [(b"Authorization", f"Bearer {key}".encode())]


@pytest.mark.parametrize("header", [None, b"Bearer wrong", KEY.encode()])
@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/"])
def test_no_or_a_wrong_key_is_refused(guarded: ServiceProcess, header: bytes | None, path: str) -> None:
    """The operations: below; other forms of the header: the kit's tests."""
    response = guarded.client.get(path, headers=[(b"Authorization", header)] if header else [])
    assert response.status_code == 401
    assert response.json()["error"]["type"] == "unauthorized"
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert KEY not in response.text


def test_every_operation_that_is_said_to_need_the_key_does(guarded: ServiceProcess) -> None:
    description = guarded.client.get("/openapi.json", headers=bearer(KEY)).json()
    assert open_paths(description) == {"/livez", "/readyz"}
    for each in example_requests(description):
        for headers, is_refused in (([], True), (bearer("wrong"), True), (bearer(KEY), False)):
            response = guarded.client.request(
                each.method, each.path, params=each.query, json=each.body, headers=headers
            )
            assert (response.status_code == 401) is (is_refused and each.path not in open_paths(description)), each


def test_a_key_to_ask_asks_and_sees_no_metrics(guarded: ServiceProcess) -> None:
    for path, body in (
        ("/api/llm/generate", question("hola")),
        ("/v1/chat/completions", {"model": "default", **question("hola")}),
    ):
        assert guarded.client.post(path, json=body, headers=bearer(ASK_KEY)).status_code == 200
    refused = guarded.client.get("/metrics", headers=bearer(ASK_KEY))
    assert (refused.status_code, refused.json()["error"]["type"]) == (403, "forbidden")
    counted = guarded.client.get("/metrics", headers=bearer(KEY))
    assert counted.status_code == 200
    assert 'llm_http_requests_total{method="GET",route="/metrics",status="403"}' in counted.text


def test_use_is_counted_and_logged_by_the_keys_name(guarded: ServiceProcess) -> None:
    answer = guarded.client.post("/api/llm/generate", json=question("cuánto"), headers=bearer(ASK_KEY)).json()
    assert access_line(guarded, answer["request_id"])["key"] == "ana"
    text = guarded.client.get("/metrics", headers=bearer(KEY)).text
    counts = {line.split()[0]: float(line.split()[1]) for line in text.splitlines() if line.startswith("llm_key_")}
    assert counts['llm_key_requests_total{key="ana"}'] >= 1
    assert counts['llm_key_tokens_total{key="ana"}'] >= answer["usage"]["total_tokens"]
    assert ASK_KEY not in guarded.log()
    assert KEY not in guarded.log()


def test_keys_come_and_go_without_a_restart(guarded: ServiceProcess, keys_file: Path) -> None:
    def served() -> bool:
        return guarded.client.get("/v1/models", headers=bearer("de-luis")).status_code == 200

    before = keys_file.read_text(encoding="utf-8")
    assert not served()
    keys_file.write_text(f"{before}luis:ask:de-luis\n", encoding="utf-8")
    eventually(served, "the new key is served")
    keys_file.write_text(before, encoding="utf-8")
    eventually(lambda: not served(), "the withdrawn key is refused")
    assert guarded.client.get("/v1/models", headers=bearer(ASK_KEY)).status_code == 200


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probes_need_no_key(guarded: ServiceProcess, path: str) -> None:
    assert guarded.client.get(path, headers={"Host": "anything.example"}).status_code == 200


def test_a_page_of_another_name_reaches_nothing(service: ServiceProcess) -> None:
    """DNS rebinding: a page's own name points to this machine, and the browser sends it as ``Host``."""
    for method, path in (
        ("GET", "/version"),
        ("GET", "/api/llm/health"),
        ("POST", "/api/llm/generate"),
        ("POST", "/v1/embeddings"),
        ("GET", "/docs"),
    ):
        refused = service.client.request(method, path, headers={"Host": "evil.example"})
        assert refused.status_code == 400
        assert refused.headers["X-Request-ID"]
    for host in ("localhost", f"127.0.0.1:{service.port}", "[::1]"):
        assert service.client.get("/version", headers={"Host": host}).status_code == 200
    refused = service.client.get("/v1/models", headers={"Host": "evil.example"})
    assert refused.json()["error"]["code"] == "untrusted_host"


def test_a_page_of_another_origin_writes_nothing(service: ServiceProcess) -> None:
    def asked(origin: str) -> httpx.Response:
        return service.client.post("/api/llm/generate", json=question("hola"), headers={"Origin": origin})

    assert asked("http://evil.example").json()["error"]["type"] == "untrusted_origin"
    assert asked("null").status_code == 403
    assert asked("http://localhost:8000").status_code == 200
    assert asked(f"http://127.0.0.1:{service.port}").status_code == 200


def test_names_of_the_settings_are_served(configured: ServiceProcess) -> None:
    for host, expected in {"bora.example": 200, "a.escuela.example": 200, "evil.example": 400}.items():
        assert configured.client.get("/version", headers={"Host": host}).status_code == expected


@pytest.mark.anyio
@pytest.mark.parametrize(("address", "served"), [("127.0.0.1", True), ("[::1]", True), ("192.0.2.7", False)])
async def test_without_a_key_only_connections_to_loopback_are_served(address: str, served: bool) -> None:
    """A server's command line may name any address, which the settings cannot see."""
    app = ApiKeys(PlainTextResponse("served"), keys=KeyRing(), policy=needed_scope)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://{address}:8001") as client:
        assert (await client.get("/api/llm/health")).status_code == (200 if served else 401)
