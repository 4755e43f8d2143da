"""The doctor on the LLM service and its key, on proxies, and on the upstream, each broken on purpose."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conftest import NOWHERE, Checkout
from devtools.doctor.network import proxies, services, upstream
from stand_in_server import StandIn

KEY = "right-k3y"


@pytest.fixture
def server() -> Iterator[StandIn]:
    with StandIn() as stand_in:
        yield stand_in


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
    told = bare_checkout.look(services, LLM_SERVICE_URL=server.url, LLM_SERVICE_API_KEY=key)
    assert f"LLM service: {server.url} {seen}" in told[verdict][0]
    assert "k3y" not in str(told)


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
    told = bare_checkout.look(services, LLM_SERVICE_URL=f"{server.url}, http://user:hunter2@127.0.0.2:9")
    assert f"LLM service: {server.url} answers" in told["ok"][0]
    assert "LLM service: http://127.0.0.2:9 cannot be reached" in told["fail"][0]
    assert "hunter2" not in str(told)


def test_a_service_of_this_machine_may_be_stopped_or_switched_off_but_its_address_must_be_one(
    bare_checkout: Checkout,
) -> None:
    assert f"not running on {NOWHERE}" in bare_checkout.look(services, LLM_SERVICE_URL=NOWHERE)["ok"][0]
    assert "switched off" in bare_checkout.look(services, LLM_SERVICE_ENABLED="false")["ok"][0]
    wrong = bare_checkout.look(services, LLM_SERVICE_URL="localhost:8001")["fail"][0]
    assert "LLM_SERVICE_URL is not a http:// address" in wrong


def test_a_proxy_that_would_carry_this_machines_requests_is_a_fault(bare_checkout: Checkout) -> None:
    told = bare_checkout.look(proxies, HTTP_PROXY=NOWHERE, NO_PROXY="")["fail"][0]
    assert "HTTP_PROXY would also carry what is meant for 127.0.0.1" in told
    assert "NO_PROXY=localhost" in told
    told = bare_checkout.look(proxies, HTTP_PROXY=NOWHERE, NO_PROXY="localhost,127.0.0.1")["ok"][0]
    assert "addresses of this machine are exempt" in told


# --- the upstream -------------------------------------------------------------------------------


@pytest.fixture
def api(server: StandIn) -> StandIn:
    server.body = {"data": [{"id": "qwen"}, {"id": "other"}]}
    server.key = KEY
    return server


@pytest.mark.parametrize(
    ("variables", "verdict", "seen"),
    [
        ({"LLM_UPSTREAM_API_KEY": KEY}, "ok", "/v1/models has qwen"),
        ({"LLM_UPSTREAM_API_KEY": "wrong-k3y"}, "fail", "refuses the key in LLM_UPSTREAM_API_KEY"),
        ({}, "fail", "wants a key, and LLM_UPSTREAM_API_KEY has none"),
        ({"LLM_UPSTREAM_API_KEY": KEY, "LLM_UPSTREAM_MODEL": "gone"}, "fail", "has no model gone"),
        ({"LLM_UPSTREAM_API_KEY": KEY, "LLM_UPSTREAM_MODEL": ""}, "fail", "has no model Qwen/Qwen3-1.7B"),
        ({"LLM_UPSTREAM_URL": NOWHERE}, "fail", f"{NOWHERE}/v1/models cannot be reached"),
        ({"LLM_UPSTREAM_URL": ""}, "fail", "is not an address without a user"),
        ({"LLM_UPSTREAM_URL": "http://me:hunter2@127.0.0.1:9"}, "fail", "is not an address without a user"),
        ({"LLM_UPSTREAM_READY_PATH": "/livez"}, "ok", "/livez says it is ready"),
        ({"LLM_BACKEND": "auto"}, "warn", "LLM_UPSTREAM_URL is set and not used"),
    ],
)
def test_the_upstream_is_tried_with_its_key_and_model(
    bare_checkout: Checkout, api: StandIn, variables: dict[str, str], verdict: str, seen: str
) -> None:
    settings = {"LLM_BACKEND": "openai", "LLM_UPSTREAM_URL": api.url, "LLM_UPSTREAM_MODEL": "qwen", **variables}
    told = bare_checkout.look(upstream, **settings)
    assert seen in told[verdict][0]
    assert "k3y" not in str(told)
    assert "hunter2" not in str(told)


def test_an_upstream_may_have_one_model_of_any_name_and_must_be_such_an_api(
    bare_checkout: Checkout, server: StandIn
) -> None:
    settings = {"LLM_BACKEND": "openai", "LLM_UPSTREAM_URL": f"{server.url}/v1"}
    server.body = {"data": [{"id": "the-one"}]}
    assert "/v1/models has the-one" in bare_checkout.look(upstream, **settings)["ok"][0]
    server.body = {"hello": "world"}
    assert "does not list models" in bare_checkout.look(upstream, **settings)["fail"][0]
    server.status = 500
    assert "/v1/models answers 500" in bare_checkout.look(upstream, **settings)["fail"][0]
