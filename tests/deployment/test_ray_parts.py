"""What deploy/ray adds to the service, without Ray: when a replica is well, and what the proxy says by itself."""

from __future__ import annotations

import asyncio
import functools
import importlib
import os
import subprocess
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from app_process import WORKSPACE
from conftest import ROOT


def in_a_thread(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test on a loop in a thread: this one's is taken while the tests of the page have a browser."""

    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(asyncio.run, test(*arguments, **named)).result()

    return run


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a file of deploy/ray, where they find each other by bare name as under Ray."""
    monkeypatch.syspath_prepend(str(ROOT / "deploy" / "ray"))
    return importlib.import_module


class Service:
    """A service whose workers and clock the test sets."""

    def __init__(self) -> None:
        self.now = 0.0
        self.workers = {
            role: SimpleNamespace(state="ready", last_error=None) for role in ("generator", "embedder", "reranker")
        }
        self.turn("loading")

    def turn(self, state: str, role: str = "generator") -> None:
        self.workers[role].state = state
        self.workers[role].last_error = None if state == "ready" else "no such model"


def watch(part: Any, service: Service, **how: float) -> Any:
    return part("health_watch").HealthWatch(service.workers, 60.0, clock=lambda: service.now, **how)


@in_a_thread
async def test_the_first_check_returns_when_the_models_are_loaded(part: Any) -> None:
    service = Service()
    check = asyncio.create_task(watch(part, service).check())
    await asyncio.sleep(0.3)
    assert not check.done()
    service.turn("ready")
    await asyncio.wait_for(check, 10)


@pytest.mark.parametrize("patience_s", [None, 5.0])
@in_a_thread
async def test_a_worker_that_is_away_has_as_long_as_three_loads_or_as_configured(
    part: Any, patience_s: float | None
) -> None:
    service = Service()
    well = watch(part, service, **({} if patience_s is None else {"patience_s": patience_s}))
    check = asyncio.create_task(well.check())
    await asyncio.sleep(0)
    service.now = 20.0
    service.turn("ready")
    await check
    service.turn("restarting")
    await well.check()
    allowed = patience_s or 3 * 20.0
    service.now += allowed
    await well.check()
    service.now += 1
    with pytest.raises(part("health_watch").NotWell, match="away"):
        await well.check()
    service.turn("ready")
    await well.check()
    service.turn("restarting")
    await well.check()


@pytest.mark.parametrize("was_ready", [True, False])
@pytest.mark.parametrize("role", ["generator", "reranker"])
@in_a_thread
async def test_a_model_that_cannot_be_loaded_is_reported_at_once_with_its_reason(
    part: Any, role: str, was_ready: bool
) -> None:
    service = Service()
    well = watch(part, service)
    if was_ready:
        service.turn("ready")
        await well.check()
    service.turn("failed", role)
    with pytest.raises(part("health_watch").NotWell, match=f"{role} failed.*no such model"):
        await asyncio.wait_for(well.check(), 10)


@in_a_thread
async def test_a_load_without_end_is_given_up(part: Any) -> None:
    service = Service()
    check = asyncio.create_task(watch(part, service).check())
    await asyncio.sleep(0)
    service.now = 61.0
    with pytest.raises(part("health_watch").NotWell, match="not loaded within 60 s"):
        await check


async def through_the_proxy(
    part: Any, path: str, messages: list[dict[str, Any]], request_id: str = "mine"
) -> httpx.Response:
    """What a caller gets when Serve's proxy sends these messages."""

    async def proxy(_scope: Any, _receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    (middleware,) = part("serve_errors").middlewares()
    transport = httpx.ASGITransport(middleware.cls(proxy, *middleware.args, **middleware.kwargs))
    async with httpx.AsyncClient(transport=transport, base_url="http://serve") as client:
        return await client.post(path, headers={"X-Request-ID": request_id})


def plain(status: int, text: bytes) -> list[dict[str, Any]]:
    start = {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]}
    return [start, {"type": "http.response.body", "body": text}]


@pytest.mark.parametrize(
    ("messages", "status", "kind"),
    [
        (plain(503, b"Request dropped due to backpressure"), 503, "overloaded"),
        (plain(408, b"Request x timed out"), 504, "deadline_exceeded"),
        (plain(404, b"Path not found"), 503, "model_loading"),
        ([], 503, "engine_restarted"),
    ],
)
@in_a_thread
async def test_what_no_replica_said_becomes_an_error_of_the_contract(
    part: Any, messages: list[dict[str, Any]], status: int, kind: str
) -> None:
    answer = await through_the_proxy(part, "/api/llm/generate", messages)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["retryable"], error["request_id"]) == (status, kind, True, "mine")
    assert int(answer.headers["Retry-After"]) >= 1
    named = await through_the_proxy(part, "/api/llm/generate", messages, request_id="two words")
    assert named.json()["error"]["request_id"] == named.headers["X-Request-ID"] != "two words"
    openai = await through_the_proxy(part, "/v1/chat/completions", messages)
    assert (openai.status_code, openai.json()["error"]["code"]) == (status, kind)


@in_a_thread
async def test_readiness_is_answered_without_waiting_for_the_first_replica(part: Any) -> None:
    async def waits_for_a_replica(*_: Any) -> None:
        await asyncio.Event().wait()

    transport = httpx.ASGITransport(part("serve_errors").ServeErrors(waits_for_a_replica))
    async with httpx.AsyncClient(transport=transport, base_url="http://serve") as client:
        answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["error"]["type"]) == (503, "model_loading")


@in_a_thread
async def test_serves_own_pages_stay_and_metrics_are_each_replicas(part: Any) -> None:
    healthy = await through_the_proxy(part, "/-/healthz", plain(503, b"unhealthy"))
    assert (healthy.status_code, healthy.text) == (503, "unhealthy")
    metrics = await through_the_proxy(part, "/metrics", plain(200, b"of one of them"))
    assert (metrics.status_code, metrics.json()["error"]["type"]) == (404, "not_found")


@in_a_thread
async def test_the_door_is_for_looking_only(part: Any) -> None:
    door = part("replica_door")

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        for message in plain(200, b"seen"):
            await send(message)

    transport = httpx.ASGITransport(door.OnlyLooking(door.NamesReplica(app, "r1")))
    async with httpx.AsyncClient(transport=transport, base_url="http://door") as client:
        looked, worked = await client.get("/metrics"), await client.post("/api/llm/generate")
    assert (looked.status_code, looked.text, looked.headers["X-Replica"]) == (200, "seen", "r1")
    assert worked.status_code == 405


@pytest.mark.parametrize("opened", ["http_options: {host: 0.0.0.0}", "applications: [{args: {door_host: 10.0.0.1}}]"])
def test_nothing_is_opened_to_others_without_a_key(opened: str, tmp_path: Path) -> None:
    file = tmp_path / "serve.yaml"
    file.write_text(opened)
    done = subprocess.run(
        [WORKSPACE.llm_service.python, ROOT / "deploy" / "ray" / "cluster.py", "deploy", file],
        env={**os.environ, "ENV_FILES": "none", "LLM_SERVICE_API_KEY": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "LLM_SERVICE_API_KEY" in done.stderr
