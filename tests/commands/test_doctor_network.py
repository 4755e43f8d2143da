"""The doctor on ports, on the LLM service and its key and on proxies, each broken on purpose."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from conftest import NOWHERE, Checkout, free_port
from devtools.doctor.machine import open_ports
from devtools.doctor.network import proxies, services

KEY = "right-k3y"


class StandIn(ThreadingHTTPServer):
    """An LLM service that answers `/livez` to everyone and every other path to callers with the key."""

    key = ""
    live_status = status = 200
    body: dict[str, object] = {"model": "embedded", "degraded": False}  # noqa: RUF012 - replaced, not changed

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, path: str, authorization: str | None) -> tuple[int, dict[str, object]]:
        if path == "/livez":
            return self.live_status, {}
        return (401, {}) if self.key and authorization != f"Bearer {self.key}" else (self.status, self.body)


class Handler(BaseHTTPRequestHandler):
    server: StandIn

    def do_GET(self) -> None:
        status, body = self.server.answer(self.path, self.headers.get("Authorization"))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        pass


@pytest.fixture
def server() -> Iterator[StandIn]:
    with StandIn(("127.0.0.1", 0), Handler) as stand_in:
        thread = threading.Thread(target=stand_in.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield stand_in
        stand_in.shutdown()
        thread.join()


def test_a_port_is_free_or_held_by_the_service_itself_or_a_fault(bare_checkout: Checkout, server: StandIn) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        found = bare_checkout.look(open_ports, BACKEND_PORT=str(port), LLM_SERVICE_PORT=str(server.server_port))
    assert found["fail"][0].startswith(f"port {port}: taken by")
    assert "--backend-port" in found["fail"][0]
    assert "answers there like a running llm_service" in found["ok"][0]
    for wrong in ("0", "65536", "http"):
        found = bare_checkout.look(open_ports, BACKEND_PORT=wrong, LLM_SERVICE_PORT=str(free_port()))
        assert found["fail"][0].startswith(f"port of backend: BACKEND_PORT={wrong} is not a port")


@pytest.mark.parametrize(
    ("key", "verdict", "seen"),
    [
        (KEY, "ok", "answers with embedded, the key is let in"),
        ("wrong-k3y", "fail", "refuses the key in LLM_SERVICE_API_KEY"),
        ("", "fail", "wants a key, and there is no LLM_SERVICE_API_KEY"),
    ],
)
def test_the_key_is_tried_and_never_shown(
    bare_checkout: Checkout, server: StandIn, key: str, verdict: str, seen: str
) -> None:
    server.key = KEY
    found = bare_checkout.look(services, LLM_SERVICE_URL=server.url, LLM_SERVICE_API_KEY=key)
    assert f"LLM service: {server.url} {seen}" in found[verdict][0]
    assert "k3y" not in str(found)


def test_what_answers_there_but_does_not_serve_is_named(bare_checkout: Checkout, server: StandIn) -> None:
    server.status = 503
    assert "up and not ready (503)" in bare_checkout.look(services, LLM_SERVICE_URL=server.url)["warn"][0]
    server.status = 200
    server.body = {"model": "SmolLM2", "requested_model": "Qwen/Qwen3-1.7B", "degraded": True}
    degraded = bare_checkout.look(services, LLM_SERVICE_URL=server.url)["warn"][0]
    assert "answers with SmolLM2 in place of Qwen/Qwen3-1.7B" in degraded
    server.live_status = 404
    assert "/livez answers 404" in bare_checkout.look(services, LLM_SERVICE_URL=server.url)["fail"][0]


def test_each_of_several_services_is_tried_and_passwords_in_addresses_stay_hidden(
    bare_checkout: Checkout, server: StandIn
) -> None:
    # 127.0.0.2 stands for another machine: a service of this one may simply not have been started.
    found = bare_checkout.look(services, LLM_SERVICE_URL=f"{server.url}, http://user:hunter2@127.0.0.2:9")
    assert f"LLM service: {server.url} answers" in found["ok"][0]
    assert "LLM service: http://127.0.0.2:9 cannot be reached" in found["fail"][0]
    assert "hunter2" not in str(found)


def test_a_service_of_this_machine_may_be_stopped_or_switched_off_but_its_address_must_be_one(
    bare_checkout: Checkout,
) -> None:
    assert f"not running on {NOWHERE}" in bare_checkout.look(services, LLM_SERVICE_URL=NOWHERE)["ok"][0]
    assert "switched off" in bare_checkout.look(services, LLM_SERVICE_ENABLED="false")["ok"][0]
    for address in ("localhost:8001", "http://[::1:8001", "http://"):
        wrong = bare_checkout.look(services, LLM_SERVICE_URL=address)["fail"][0]
        assert "LLM_SERVICE_URL is not a http:// address" in wrong
        assert bare_checkout.look(proxies, LLM_SERVICE_URL=address, HTTP_PROXY=NOWHERE)["fail"] == []


def test_a_proxy_that_would_carry_this_machines_requests_is_a_fault(bare_checkout: Checkout) -> None:
    found = bare_checkout.look(proxies, HTTP_PROXY=NOWHERE, NO_PROXY="")["fail"][0]
    assert "HTTP_PROXY would also carry what is meant for 127.0.0.1" in found
    assert "NO_PROXY=localhost" in found
    found = bare_checkout.look(proxies, HTTP_PROXY=NOWHERE, NO_PROXY="localhost,127.0.0.1")["ok"][0]
    assert "nothing meant for this machine goes through it" in found
