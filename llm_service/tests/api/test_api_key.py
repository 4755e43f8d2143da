from collections.abc import Iterator

import pytest
from starlette.types import Message, Receive, Scope, Send

from middleware.api_key import ApiKey
from observability.request_record import RequestRecord
from tests.api.service_process import ServiceProcess, question, running_service

KEY = "correct-horse"


@pytest.fixture(scope="module")
def guarded() -> Iterator[ServiceProcess]:
    with running_service(LLM_SERVICE_API_KEY=KEY) as process:
        yield process


@pytest.mark.parametrize(
    "header", [None, b"Bearer wrong", f"Basic {KEY}".encode(), KEY.encode(), b"Bearer", "Bearer ñ".encode()]
)
@pytest.mark.parametrize("path", ["/api/llm/health", "/docs", "/openapi.json", "/metrics", "/version", "/"])
def test_no_or_a_wrong_key_is_refused(guarded: ServiceProcess, header: bytes | None, path: str) -> None:
    response = guarded.client.get(path, headers=[(b"Authorization", header)] if header else [])
    assert response.status_code == 401
    assert response.json()["error"]["type"] == "unauthorized"
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert KEY not in response.text


def test_the_right_key_is_served(guarded: ServiceProcess) -> None:
    response = guarded.client.post(
        "/api/llm/generate", json=question("hola"), headers={"Authorization": f"Bearer {KEY}"}
    )
    assert response.status_code == 200


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probes_need_no_key(guarded: ServiceProcess, path: str) -> None:
    assert guarded.client.get(path).status_code == 200


def test_the_key_is_not_in_the_log(guarded: ServiceProcess) -> None:
    guarded.client.get("/api/llm/health", headers={"Authorization": f"Bearer {KEY}"})
    assert KEY not in guarded.log()


@pytest.mark.anyio
@pytest.mark.parametrize(("address", "served"), [("127.0.0.1", True), ("::1", True), ("192.0.2.7", False)])
async def test_without_a_key_only_connections_to_loopback_are_served(address: str, served: bool) -> None:
    """A server may be told on its command line to listen anywhere, which settings cannot see."""
    reached: list[str] = []
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        reached.append(scope["path"])

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    scope = {
        "type": "http",
        "path": "/api/llm/health",
        "headers": [],
        "server": (address, 8001),
        "state": {"request_id": "x", "record": RequestRecord()},
    }
    await ApiKey(app, None)(scope, receive, send)
    assert bool(reached) is served
    assert served or sent[0]["status"] == 401
