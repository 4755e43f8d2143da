"""deploy/prometheus and deploy/grafana against the real Prometheus and what the running services expose."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from app_process import ALONE, AppProcess, ask, running, start_backend, start_llm
from conftest import ROOT, wait_until
from deployment.prometheus_process import CONFIGURATION, PROMETHEUS, PROMTOOL, Prometheus, hurried

needs_prometheus = pytest.mark.skipif(
    PROMETHEUS is None or PROMTOOL is None, reason="no Prometheus on this machine (Debian: apt-get install prometheus)"
)
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboard.json"
KEYS = {"llm": "key of the service", "backend": "key of the backend"}
OF_THE_APPS = re.compile(r"\b(?:llm|backend)_[a-z0-9_]+\b")
# Label values and target jobs, which are no metrics.
NO_METRICS = {"llm_service"}
# The engine without weights has no KV cache.
WITHOUT_SERIES = {"llm_kv_cache_usage_ratio"}


def rules() -> list[dict[str, Any]]:
    loaded = yaml.safe_load((CONFIGURATION / "alerts.yml").read_text(encoding="utf-8"))
    return [rule for group in loaded["groups"] for rule in group["rules"]]


def dashboard_queries() -> list[str]:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    found = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    assert len(found) > 30
    return found


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    assert PROMTOOL is not None
    return subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False)


@needs_prometheus
def test_promtool_finds_nothing_wrong_with_the_configuration(tmp_path: Path) -> None:
    copy = hurried(tmp_path, {"llm": "127.0.0.1:8001", "backend": "127.0.0.1:8000"}, KEYS)
    for checked in (
        promtool("check", "config", copy),
        promtool("check", "config", "--syntax-only", CONFIGURATION / "prometheus.yml"),
        promtool("check", "config", "--syntax-only", CONFIGURATION / "prometheus.compose.yml"),
        promtool("check", "rules", CONFIGURATION / "alerts.yml"),
    ):
        assert checked.returncode == 0, checked.stdout + checked.stderr


@needs_prometheus
def test_the_rules_unit_tests_pass() -> None:
    done = promtool("test", "rules", CONFIGURATION / "tests" / "alerts.test.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_has_a_unit_test_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    tests = yaml.safe_load((CONFIGURATION / "tests" / "alerts.test.yml").read_text(encoding="utf-8"))["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    names = {rule["alert"] for rule in rules()}
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == names
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == names


@pytest.fixture(scope="module")
def llm() -> Iterator[AppProcess]:
    process = start_llm(LLM_SERVICE_API_KEY=KEYS["llm"])
    process.client.headers["Authorization"] = f"Bearer {KEYS['llm']}"
    with running(process):
        yield process


@pytest.fixture(scope="module")
def backend(llm: AppProcess) -> Iterator[AppProcess]:
    keys = {"LLM_SERVICE_API_KEY": KEYS["llm"], "BACKEND_API_KEY": KEYS["backend"]}
    process = start_backend(llm.url, **keys, **ALONE)
    process.client.headers["Authorization"] = f"Bearer {KEYS['backend']}"
    with running(process):
        yield process


def exposed(process: AppProcess) -> set[str]:
    """Every series' name that a process announces."""
    names = set()
    for line in process.client.get("/metrics").text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            names |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    return names


@pytest.mark.e2e
def test_every_metric_of_a_rule_or_of_the_dashboard_is_exposed(llm: AppProcess, backend: AppProcess) -> None:
    expressions = [rule["expr"] for rule in rules()] + dashboard_queries()
    wanted = {name for text in expressions for name in OF_THE_APPS.findall(text)} - NO_METRICS
    assert wanted - exposed(llm) - exposed(backend) == set()
    for process in (llm, backend):
        assert httpx.get(f"{process.url}/metrics").status_code == 401


@pytest.mark.e2e
@needs_prometheus
def test_the_dashboard_shows_the_services_and_an_alert_fires_when_one_is_killed(
    folder: Path, llm: AppProcess, backend: AppProcess
) -> None:
    copy = folder / "prometheus"
    copy.mkdir()
    addresses = {"llm": f"127.0.0.1:{llm.port}", "backend": f"127.0.0.1:{backend.port}"}
    prometheus = Prometheus(copy, hurried(copy, addresses, KEYS))
    try:
        wait_until(lambda: len(prometheus.query("up == 1")) == 2, "both are scraped")
        assert ask(backend)["served_by"] == "llm_service"
        body = {"messages": [{"role": "user", "content": "uno dos tres"}], "stream": True}
        assert llm.client.post("/api/llm/generate", json=body).status_code == 200
        wait_until(lambda: bool(prometheus.query("rate(backend_answers_total[1m])")), "an answer is counted")

        # What an alert on restarts looks at is there.
        restarts = [rule["expr"].partition("[")[0] + "[1m])" for rule in rules() if "resets(" in rule["expr"]]
        assert len(restarts) == 2
        wait_until(lambda: all(prometheus.query(each) for each in restarts), "a scrape of each is counted")

        assert "LLMServiceDown" not in prometheus.firing()
        llm.kill()
        wait_until(lambda: "LLMServiceDown" in prometheus.firing(), "the alert fires")
        assert "BackendDown" not in prometheus.firing()
        # Its first fallback: from here on every series has been seen.
        assert ask(backend)["served_by"] == "none"
        wait_until(lambda: bool(prometheus.query("rate(backend_fallbacks_total[1m])")), "the fallback is counted")

        def falls_back() -> bool:
            ask(backend)
            return "BackendFallingBack" in prometheus.firing()

        wait_until(falls_back, "the alert on falling back fires")

        queries = [query.replace("$__rate_interval", "5m") for query in dashboard_queries()]
        # What was, too: the killed service's series end.
        empty = [query for query in queries if not prometheus.query(f"last_over_time(({query})[2m:1s])")]
        assert {name for query in empty for name in OF_THE_APPS.findall(query)} <= WITHOUT_SERIES
    finally:
        prometheus.stop()
