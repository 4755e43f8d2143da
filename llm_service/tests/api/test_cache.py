"""The response cache and what is shared by running requests, as callers see them."""

import concurrent.futures
import contextlib
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import psutil
import pytest

from tests.api.service_process import ServiceProcess, events_of, eventually, idle, question

URL = "/api/llm/generate"
SLOW = "[[words:25]] [[slow:75]]"
"""An answer that takes about two seconds."""


@pytest.fixture(autouse=True)
def _idle(service: ServiceProcess) -> None:
    """Some tests count what runs."""
    eventually(lambda: idle(service), "nothing runs")


def ask(service: ServiceProcess, content: str, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
    return service.client.post(URL, json=question(content, **({"temperature": 0} | fields)), headers=headers)


def cache_of(response: httpx.Response) -> str | None:
    assert response.status_code == 200, response.text
    found: str | None = response.headers.get("X-Cache")
    return found


def queue_of(service: ServiceProcess) -> tuple[int, int]:
    queue = service.health()["queue"]
    return queue["running"], queue["waiting"]


def runs(service: ServiceProcess, running: int, waiting: int = 0) -> None:
    eventually(lambda: queue_of(service) == (running, waiting), f"{running} run and {waiting} wait")


@contextlib.contextmanager
def asking(count: int) -> Iterator[Callable[..., "concurrent.futures.Future[httpx.Response]"]]:
    """Ask in threads; what is asked first arrives first."""
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        yield lambda *arguments, **fields: pool.submit(ask, *arguments, **fields)


@contextlib.contextmanager
def listening(service: ServiceProcess, content: str, **fields: Any) -> Iterator[tuple[httpx.Response, Iterator[str]]]:
    """Ask for a stream and wait until it has begun; yield it and its lines. Leaving the block hangs up."""
    body = question(content, temperature=0, stream=True, **fields)
    with service.client.stream("POST", URL, json=body) as response:
        assert response.status_code == 200
        lines = response.iter_lines()  # httpx closes the connection when nobody holds these
        yield response, itertools.chain([next(lines)], lines)


# --- kept answers --------------------------------------------------------------------------------


def test_the_second_time_the_answer_comes_from_the_cache(service: ServiceProcess) -> None:
    first, second = ask(service, "a uno dos"), ask(service, "a uno dos")
    assert (cache_of(first), cache_of(second)) == ("miss", "hit")
    before, after = first.json(), second.json()
    assert (before["cached"], after["cached"]) == (False, True)
    assert after["request_id"] == second.headers["X-Request-ID"] != before["request_id"]
    assert after["timings"]["queue_ms"] == 0
    assert after["timings"]["ttft_ms"] <= after["timings"]["total_ms"]
    assert after["timings"]["tokens_per_second"] == 0
    own = {"cached", "request_id", "timings"}
    assert {name: before[name] for name in before.keys() - own} == {name: after[name] for name in after.keys() - own}


def test_only_greedy_and_seeded_answers_are_kept(service: ServiceProcess) -> None:
    text = "b uno dos tres cuatro cinco seis"
    found = [cache_of(ask(service, text, temperature=0.7, seed=seed)) for seed in (1, 1, 2, 1, 2)]
    assert found == ["miss", "hit", "miss", "hit", "hit"]
    assert [cache_of(ask(service, text, temperature=0.7, top_p=0.0)) for _ in range(2)] == ["miss", "hit"]
    assert [cache_of(ask(service, text, temperature=0.7)) for _ in range(2)] == [None, None]


def test_streamed_and_plain_answers_come_from_the_same_cache(service: ServiceProcess) -> None:
    for text, kinds in (("e uno dos", (False, True)), ("f uno dos", (True, False))):
        assert [cache_of(ask(service, text, stream=stream)) for stream in kinds] == ["miss", "hit"]
    hit = ask(service, "f uno dos", stream=True)
    *deltas, whole, done = events_of(hit)
    assert "".join(delta["delta"] for delta in deltas) == whole["answer"] == "f uno dos"
    assert (whole["cached"], done) == (True, "[DONE]")


def test_no_store_neither_reads_nor_writes(service: ServiceProcess) -> None:
    no_store = {"Cache-Control": "No-Store"}
    assert cache_of(ask(service, "g uno", no_store)) is None
    assert cache_of(ask(service, "g uno")) == "miss"
    again = ask(service, "g uno", no_store)
    assert (cache_of(again), again.json()["cached"]) == (None, False)


def test_no_cache_writes_but_does_not_read(service: ServiceProcess) -> None:
    no_cache = {"Cache-Control": "max-age=0, no-cache"}
    found = [cache_of(ask(service, "h uno", headers)) for headers in (no_cache, None, no_cache, None)]
    assert found == ["miss", "hit", "miss", "hit"]


def test_a_failure_is_not_kept(service: ServiceProcess) -> None:
    for _ in range(2):
        response = ask(service, "[[fail]] i uno")
        assert (response.status_code, response.headers.get("X-Cache")) == (500, None)


def test_an_answer_grows_old(configured: ServiceProcess) -> None:
    assert cache_of(ask(configured, "viejo")) == "miss"
    eventually(lambda: cache_of(ask(configured, "viejo")) == "miss", "it is computed again")


def test_without_memory_nothing_is_kept_or_shared(ranking: ServiceProcess) -> None:
    assert [cache_of(ask(ranking, "uno")) for _ in range(2)] == [None, None]
    with asking(2) as start:
        answers = [start(ranking, f"dos {SLOW}") for _ in range(2)]
        runs(ranking, 2)
        assert [cache_of(answer.result()) for answer in answers] == [None, None]


def test_a_kept_answer_needs_no_worker(mortal: ServiceProcess) -> None:
    mortal.wait_for("/readyz")
    ask(mortal, "uno dos")
    mortal.workers()["generator"].suspend()
    assert cache_of(ask(mortal, "uno dos")) == "hit"
    mortal.workers()["generator"].kill()
    eventually(lambda: mortal.health()["workers"]["generator"] == "restarting", "it is being replaced")
    assert cache_of(ask(mortal, "uno dos")) == "hit"
    assert cache_of(ask(mortal, "dos")) == "miss"


# --- shared running requests ---------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_identical_requests_are_computed_once(service: ServiceProcess, stream: bool) -> None:
    text = f"j{stream} uno dos {SLOW}"
    with asking(5) as start:
        first = start(service, text, stream=stream)
        runs(service, 1)
        others = [start(service, text, stream=stream) for _ in range(4)]
        answers = [answer.result() for answer in (first, *others)]
    assert service.health()["queue"]["running"] == 0
    assert [cache_of(answer) for answer in answers] == ["miss"] * 5
    assert len({answer.headers["X-Request-ID"] for answer in answers}) == 5
    if stream:
        for answer in answers:
            *deltas, whole, done = events_of(answer)
            assert "".join(delta["delta"] for delta in deltas) == whole["answer"]
            assert (whole["cached"], whole["request_id"], done) == (False, answer.headers["X-Request-ID"], "[DONE]")
    else:
        assert len({answer.json()["answer"] for answer in answers}) == 1


def test_neither_a_kept_answer_nor_who_joins_a_request_needs_a_place_in_a_full_queue(narrow: ServiceProcess) -> None:
    ask(narrow, "q uno dos")
    with asking(4) as start:
        with listening(narrow, "q largo [[words:2000]] [[slow:20]]", max_new_tokens=2000):
            shared = [start(narrow, "q uno") for _ in range(4)]
            runs(narrow, 1, waiting=1)
            assert ask(narrow, "q otro").status_code == 503
            assert cache_of(ask(narrow, "q uno dos")) == "hit"
            assert cache_of(ask(narrow, "q uno dos", stream=True)) == "hit"
        assert [answer.result().json()["answer"] for answer in shared] == ["q uno"] * 4


def test_the_others_get_the_whole_answer_when_the_first_one_leaves(service: ServiceProcess) -> None:
    text = f"l uno dos {SLOW}"
    with listening(service, text) as (first, _), listening(service, text) as (_, lines):
        assert queue_of(service) == (1, 0)
        first.close()
        *deltas, whole, done = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    assert "".join(json.loads(delta)["delta"] for delta in deltas) == json.loads(whole)["answer"]
    assert done == "[DONE]"
    assert cache_of(ask(service, text)) == "hit"


@pytest.mark.parametrize("callers", [1, 3])
def test_generation_stops_when_the_last_one_leaves(service: ServiceProcess, callers: int) -> None:
    text = f"m{callers} uno dos [[words:2000]] [[slow:50]]"
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(listening(service, text, max_new_tokens=2000)) for _ in range(callers)]
        for response, _ in listeners:
            assert queue_of(service) == (1, 0)
            response.close()
    runs(service, 0)
    assert cache_of(ask(service, text, max_new_tokens=2)) == "miss"


@pytest.mark.parametrize("hurried", ["first", "second"])
def test_a_deadline_is_that_of_its_own_caller(service: ServiceProcess, hurried: str) -> None:
    text, in_a_hurry = f"n{hurried} uno dos {SLOW}", {"X-Request-Timeout-Ms": "500"}
    with asking(2) as start:
        first = start(service, text, in_a_hurry if hurried == "first" else None)
        runs(service, 1)
        second = start(service, text, in_a_hurry if hurried == "second" else None)
        late, patient = (first, second) if hurried == "first" else (second, first)
        assert late.result().status_code == 504
        assert late.result().json()["error"]["type"] == "deadline_exceeded"
        assert queue_of(service) == (1, 0)
        assert patient.result().status_code == 200


def test_a_failure_reaches_all_who_wait(service: ServiceProcess) -> None:
    with asking(3) as start:
        first = start(service, "[[fail]] [[slow:800]] o uno")
        runs(service, 1)
        others = [start(service, "[[fail]] [[slow:800]] o uno") for _ in range(2)]
        answers = [answer.result() for answer in (first, *others)]
    assert [answer.json()["error"]["type"] for answer in answers] == ["generation_failed"] * 3
    assert len({answer.json()["error"]["request_id"] for answer in answers}) == 3


def test_a_worker_that_dies_fails_all_who_wait_and_the_next_is_served(mortal: ServiceProcess) -> None:
    mortal.wait_for("/readyz")
    text = f"p uno dos {SLOW}"
    with asking(3) as start:
        first = start(mortal, text)
        runs(mortal, 1)
        others = [start(mortal, text) for _ in range(2)]
        with contextlib.suppress(concurrent.futures.TimeoutError):
            others[-1].result(timeout=0.3)
        mortal.workers()["generator"].kill()
        answers = [answer.result() for answer in (first, *others)]
    assert [answer.json()["error"]["type"] for answer in answers] == ["engine_restarted"] * 3
    assert cache_of(ask(mortal, "p uno dos")) == "miss"


# --- vectors -------------------------------------------------------------------------------------


@contextlib.contextmanager
def halted(worker: psutil.Process) -> Iterator[None]:
    """Stop a worker in its tracks for the length of a block."""
    worker.suspend()
    try:
        yield
    finally:
        worker.resume()


def test_texts_embedded_before_need_no_worker(mortal: ServiceProcess) -> None:
    known = mortal.embed("uno", "dos").json()
    limits = {"X-Request-Timeout-Ms": "300"}
    with halted(mortal.workers()["embedder"]):
        again = mortal.embed("dos", "uno", "dos").json()
        assert again["embeddings"] == [known["embeddings"][at] for at in (1, 0, 1)]
        assert mortal.embed("uno", "tres", headers=limits).status_code == 504
        for directive in ("no-store", "no-cache"):
            assert mortal.embed("uno", headers=limits | {"Cache-Control": directive}).status_code == 504
    mixed = mortal.embed("tres", "uno").json()
    assert mixed["embeddings"][1] == known["embeddings"][0]
    alone = mortal.embed("tres", headers={"Cache-Control": "no-store"}).json()
    assert mixed["embeddings"][0] == alone["embeddings"][0]


def test_without_memory_every_text_is_embedded(configured: ServiceProcess) -> None:
    assert configured.embed("uno").status_code == 200
    with halted(configured.workers()["embedder"]):
        assert configured.embed("uno", headers={"X-Request-Timeout-Ms": "300"}).status_code == 504
