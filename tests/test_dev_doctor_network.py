"""The doctor on the LLM service and its key, proxies and the clock, each broken on purpose."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator

import pytest

from conftest import Checkout
from devtools import doctor_network
from doctor_runs import NOWHERE, StandIn, findings, has


@pytest.fixture
def server() -> Iterator[StandIn]:
    with StandIn() as stand_in:
        yield stand_in


def test_a_service_that_lets_the_key_in_is_well(checkout: Checkout, server: StandIn) -> None:
    server.key = "k3y-of-the-service"
    status, lines = findings(
        checkout, LLM_SERVICE_URL=server.url, LLM_SERVICE_API_KEY="k3y-of-the-service", LLM_MODEL="embedded"
    )
    assert status == 0
    assert has(lines["ok"], f"LLM service: {server.url} answers with embedded, the key is let in")
    assert "k3y" not in str(lines)


@pytest.mark.parametrize(
    ("key", "seen"), [("wrong-k3y", "refuses the key in LLM_SERVICE_API_KEY"), ("", "wants a key, and there is no")]
)
def test_a_key_that_the_service_refuses_is_a_fault(checkout: Checkout, server: StandIn, key: str, seen: str) -> None:
    server.key = "right-k3y"
    status, lines = findings(checkout, LLM_SERVICE_URL=server.url, LLM_SERVICE_API_KEY=key, LLM_MODEL="embedded")
    assert status == 1
    assert has(lines["fail"], f"LLM service: {server.url} {seen}")
    assert "k3y" not in str(lines)


def test_what_is_no_llm_service_is_a_fault(checkout: Checkout, server: StandIn) -> None:
    server.live_status = 404
    status, lines = findings(checkout, LLM_SERVICE_URL=server.url, LLM_MODEL="embedded")
    assert status == 1
    assert has(lines["fail"], "/livez answers 404: it is no LLM service")


def test_a_service_that_loads_or_has_another_model_is_a_warning(checkout: Checkout, server: StandIn) -> None:
    server.health_status = 503
    _, lines = findings(checkout, LLM_SERVICE_URL=server.url, LLM_MODEL="embedded")
    assert has(lines["warn"], "is up and not ready (503)")
    server.health_status = 200
    server.health = {"model": "SmolLM2", "requested_model": "Qwen/Qwen3-1.7B", "degraded": True}
    _, lines = findings(checkout, LLM_SERVICE_URL=server.url, LLM_MODEL="embedded")
    assert has(lines["warn"], "answers with SmolLM2 in place of Qwen/Qwen3-1.7B")


def test_each_of_several_services_is_tried_and_passwords_in_addresses_stay_hidden(
    checkout: Checkout, server: StandIn
) -> None:
    # 127.0.0.2 stands for another machine: this one's own services may simply not have been started.
    urls = f"{server.url}, http://user:hunter2@127.0.0.2:9"
    status, lines = findings(checkout, LLM_SERVICE_URL=urls, LLM_MODEL="embedded")
    assert status == 1
    assert has(lines["ok"], f"LLM service: {server.url} answers")
    assert has(lines["fail"], "LLM service: http://127.0.0.2:9 cannot be reached")
    assert "hunter2" not in str(lines)


def test_a_service_of_this_machine_that_is_not_started_or_switched_off_is_no_fault(checkout: Checkout) -> None:
    _, lines = findings(checkout, LLM_SERVICE_URL=NOWHERE, LLM_MODEL="embedded")
    assert has(lines["ok"], f"LLM service: not running on {NOWHERE}")
    _, lines = findings(checkout, LLM_SERVICE_ENABLED="false", LLM_MODEL="embedded")
    assert has(lines["ok"], "LLM service: switched off")


def test_an_address_that_is_none_is_a_fault(checkout: Checkout) -> None:
    _, lines = findings(checkout, LLM_SERVICE_URL="localhost:8001", LLM_MODEL="embedded")
    assert has(lines["fail"], "LLM_SERVICE_URL is not a http:// address")


def test_a_proxy_that_would_catch_this_machines_addresses_is_a_fault(checkout: Checkout) -> None:
    status, lines = findings(checkout, HTTP_PROXY=NOWHERE, NO_PROXY="", LLM_MODEL="embedded")
    assert status == 1
    assert has(lines["fail"], "proxy: HTTP_PROXY would also carry what is meant for 127.0.0.1", "NO_PROXY=localhost")
    status, lines = findings(checkout, HTTP_PROXY=NOWHERE, NO_PROXY="localhost,127.0.0.1", LLM_MODEL="embedded")
    assert status == 0
    assert has(lines["ok"], "proxy: one is set, and addresses of this machine are exempt")


@pytest.mark.parametrize(("off_s", "seen"), [(3600.0, "60 minutes behind"), (-3600.0, "60 minutes ahead")])
def test_a_clock_that_differs_from_the_hubs_is_a_fault(
    checkout: Checkout, server: StandIn, off_s: float, seen: str
) -> None:
    server.clock_s = off_s
    status, lines = findings(checkout, HF_ENDPOINT=server.url, LLM_MODEL="embedded")
    assert status == 1
    assert has(lines["fail"], "clock: ", seen)


def test_a_clock_that_agrees_with_the_hubs_is_well(checkout: Checkout, server: StandIn) -> None:
    _, lines = findings(checkout, HF_ENDPOINT=server.url, LLM_MODEL="embedded")
    assert has(lines["ok"], "clock: ", "as the model hub says")


def test_a_clock_from_before_this_program_is_a_fault(bare_checkout: Checkout) -> None:
    later = time.time() + 40 * 86400
    os.utime(bare_checkout.root / "devtools" / "doctor.py", (later, later))
    _, lines = findings(bare_checkout, LLM_MODEL="embedded")
    assert has(lines["fail"], "clock: ", "earlier than this program was written")


def test_a_hub_that_never_answers_is_given_up_within_the_limit() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        # Not listening: the connection is refused or left hanging, by system; both must end.
        assert not doctor_network.connects("127.0.0.1", silent.getsockname()[1], limit_s=0.5)
    assert not doctor_network.connects("name-that-does-not.exist.invalid", 443, limit_s=2)
