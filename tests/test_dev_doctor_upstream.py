"""The doctor on the server behind the LLM service, broken on purpose."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conftest import ROOT, Checkout
from devtools import doctor_upstream
from devtools.findings import Finding
from devtools.layout import Workspace
from doctor_runs import NOWHERE, StandIn, findings, has

KEY = "k3y-of-the-upstream"


@pytest.fixture
def server() -> Iterator[StandIn]:
    with StandIn() as stand_in:
        stand_in.health = {"data": [{"id": "qwen"}, {"id": "other"}]}
        yield stand_in


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment without settings of this machine's own."""
    monkeypatch.setenv("ENV_FILES", "none")
    monkeypatch.setenv("NO_PROXY", "*")
    return monkeypatch


def look(environment: pytest.MonkeyPatch, url: str, **variables: str) -> Finding:
    """What the doctor finds with these settings."""
    settings = {"LLM_BACKEND": "openai", "LLM_UPSTREAM_URL": url, "LLM_UPSTREAM_MODEL": "qwen", **variables}
    for name, value in settings.items():
        environment.setenv(name, value)
    (finding,) = doctor_upstream.upstream(Workspace(ROOT))
    assert "k3y" not in str(finding)
    assert "hunter2" not in str(finding)
    assert bool(finding.mend) == (finding.verdict != "ok")
    return finding


def test_an_upstream_that_has_the_model_and_lets_the_key_in_is_well(checkout: Checkout, server: StandIn) -> None:
    server.key = KEY
    settings = {"LLM_BACKEND": "openai", "LLM_UPSTREAM_URL": server.url, "LLM_UPSTREAM_MODEL": "qwen"}
    status, lines = findings(checkout, LLM_UPSTREAM_API_KEY=KEY, **settings)
    assert status == 0
    assert has(lines["ok"], f"upstream: {server.url}/v1/models has qwen")
    # Its model is not looked for on this machine.
    assert not has([*lines["ok"], *lines["warn"], *lines["fail"]], "Qwen/Qwen3-1.7B")
    assert "k3y" not in str(lines)


def test_the_only_model_it_has_needs_no_name(environment: pytest.MonkeyPatch, server: StandIn) -> None:
    server.health = {"data": [{"id": "the-one"}]}
    finding = look(environment, f"{server.url}/v1", LLM_UPSTREAM_MODEL="")
    assert (finding.verdict, finding.seen) == ("ok", f"{server.url}/v1/models has the-one")


@pytest.mark.parametrize(
    ("variables", "seen"),
    [
        ({"LLM_UPSTREAM_API_KEY": "wrong-k3y"}, "refuses the key in LLM_UPSTREAM_API_KEY"),
        ({}, "wants a key, and LLM_UPSTREAM_API_KEY has none"),
        ({"LLM_UPSTREAM_API_KEY": KEY, "LLM_UPSTREAM_MODEL": "gone"}, "has no model gone"),
        ({"LLM_UPSTREAM_API_KEY": KEY, "LLM_UPSTREAM_MODEL": ""}, "has no model Qwen/Qwen3-1.7B"),
    ],
)
def test_a_wrong_key_or_model_is_a_fault(
    environment: pytest.MonkeyPatch, server: StandIn, variables: dict[str, str], seen: str
) -> None:
    server.key = KEY
    finding = look(environment, server.url, **variables)
    assert finding.verdict == "fail"
    assert seen in finding.seen


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        (NOWHERE, f"{NOWHERE}/v1/models cannot be reached"),
        ("", "is not an address without a user"),
        ("http://me:hunter2@127.0.0.1:9", "is not an address without a user"),
    ],
)
def test_an_upstream_that_is_nowhere_is_a_fault(environment: pytest.MonkeyPatch, url: str, seen: str) -> None:
    finding = look(environment, url)
    assert finding.verdict == "fail"
    assert seen in finding.seen


def test_what_is_no_such_api_is_a_fault(environment: pytest.MonkeyPatch, server: StandIn) -> None:
    server.health = {"hello": "world"}
    assert "gives no list of models" in look(environment, server.url).seen
    server.health_status = 500
    finding = look(environment, server.url)
    assert (finding.verdict, finding.seen) == ("fail", f"{server.url}/v1/models answers 500")


def test_a_path_that_says_it_is_ready_is_asked_instead(environment: pytest.MonkeyPatch, server: StandIn) -> None:
    finding = look(environment, server.url, LLM_UPSTREAM_READY_PATH="/livez")
    assert (finding.verdict, finding.seen) == ("ok", f"{server.url}/livez says it is ready")
    server.live_status = 503
    finding = look(environment, server.url, LLM_UPSTREAM_READY_PATH="/livez")
    assert (finding.verdict, finding.seen) == ("fail", f"{server.url}/livez answers 503")


def test_an_address_that_nobody_uses_is_a_warning(environment: pytest.MonkeyPatch, server: StandIn) -> None:
    finding = look(environment, server.url, LLM_BACKEND="auto")
    assert finding.verdict == "warn"
    assert "LLM_UPSTREAM_URL is set and not used" in finding.seen
