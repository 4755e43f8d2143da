"""One service as the generator of another, over real sockets: the same answers, refusals and cancellations."""

import itertools
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.api.service_process import ServiceProcess, check_broken_off, events_of, eventually, question, running_service

KEY = "sk-between-the-two"
_numbers = itertools.count()


@pytest.fixture(scope="module")
def upstream() -> Iterator[ServiceProcess]:
    with running_service(LLM_SERVICE_API_KEY=KEY, LLM_MAX_BATCH="2", LLM_MAX_QUEUE="0", LLM_CACHE_MB="0") as process:
        process.client.headers["Authorization"] = f"Bearer {KEY}"
        yield process


def upstream_settings(upstream: ServiceProcess, **settings: str) -> dict[str, Any]:
    url = f"http://127.0.0.1:{upstream.port}"
    return {"LLM_BACKEND": "openai", "LLM_UPSTREAM_URL": url, "LLM_UPSTREAM_API_KEY": KEY} | settings


@pytest.fixture(scope="module")
def front(upstream: ServiceProcess) -> Iterator[ServiceProcess]:
    with running_service(**upstream_settings(upstream)) as process:
        yield process


def new_words() -> str:
    """Return a question that no cache has seen."""
    return f"uno dos número{next(_numbers)}"


def check_error(response: httpx.Response, status: int, kind: str, *, retryable: bool) -> dict[str, Any]:
    assert response.status_code == status, response.text
    error: dict[str, Any] = response.json()["error"]
    assert (error["type"], error["retryable"]) == (kind, retryable)
    return error


def test_an_answer_is_the_upstreams(front: ServiceProcess) -> None:
    words = new_words()
    body = front.generate(words, temperature=0).json()
    assert body["answer"] == words
    assert body["model"] == "fake"
    assert (body["finish_reason"], body["usage"]) == (
        "stop",
        {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6},
    )
    assert front.generate(words, max_new_tokens=1, temperature=0).json()["finish_reason"] == "length"
    assert front.generate(words, stop=["dos"], temperature=0).json()["answer"] == "uno"
    health = front.health()
    assert (health["backend"], health["status"], health["workers"]["generator"]) == ("openai", "healthy", "ready")


def test_deltas_come_as_the_upstream_sends_them(front: ServiceProcess) -> None:
    body = question(f"ñandú [[words:6]] [[slow:20]] {new_words()}", stream=True, temperature=0)
    with front.client.stream("POST", "/api/llm/generate", json=body) as response:
        *deltas, whole, done = events_of(response)
    assert done == "[DONE]"
    assert len(deltas) == 6
    assert "".join(each["delta"] for each in deltas) == whole["answer"]


def test_the_openai_client_works_through_both(front: ServiceProcess) -> None:
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{front.port}/v1", api_key="none", max_retries=0)
    with client:
        messages: Any = [{"role": "user", "content": new_words()}]
        answer, other = (
            client.chat.completions.create(model="default", messages=messages, temperature=0) for _ in "ab"
        )
        assert answer.choices[0].message.content == messages[0]["content"]
        assert answer.system_fingerprint == other.system_fingerprint
        assert len(answer.system_fingerprint or "") == 16
        assert "fake" in [model.id for model in client.models.list().data]


def test_an_answer_is_kept_here(front: ServiceProcess) -> None:
    words = new_words()
    first, second = (front.generate(words, temperature=0) for _ in range(2))
    assert (first.headers["X-Cache"], second.headers["X-Cache"]) == ("miss", "hit")
    assert first.json()["answer"] == second.json()["answer"]


def test_a_conversation_that_is_too_long_is_the_callers_to_mend(front: ServiceProcess) -> None:
    error = check_error(front.generate("palabra " * 2100), 400, "context_length_exceeded", retryable=False)
    assert (error["prompt_tokens"], error["context_length"]) == (2100, 2047)


def test_what_the_upstream_cannot_do_is_refused_with_its_reason(front: ServiceProcess) -> None:
    error = check_error(front.generate("hola", logprobs=True), 400, "unsupported", retryable=False)
    assert "knows no probabilities" in error["message"]


def test_a_request_that_breaks_upstream_breaks_here_and_the_next_does_not(front: ServiceProcess) -> None:
    check_error(front.generate("[[fail]] hola"), 500, "generation_failed", retryable=False)
    check_error(front.generate("[[crash]] hola"), 503, "engine_restarted", retryable=True)
    eventually(lambda: front.generate(new_words()).status_code == 200, "the upstream has a worker again")


def test_a_full_upstream_makes_this_one_say_so(front: ServiceProcess, upstream: ServiceProcess) -> None:
    with (
        front.client.stream("POST", "/api/llm/generate", json=slow_question()) as first,
        front.client.stream("POST", "/api/llm/generate", json=slow_question()) as second,
    ):
        assert (first.status_code, second.status_code) == (200, 200)
        refused = front.generate(new_words())
        check_error(refused, 503, "overloaded", retryable=True)
        assert int(refused.headers["Retry-After"]) >= 1
    eventually(lambda: upstream.health()["queue"]["running"] == 0, "both have left the upstream")


def slow_question() -> dict[str, Any]:
    return question(f"{new_words()} [[words:1900]] [[slow:20]]", stream=True, max_new_tokens=1900)


def test_a_caller_who_leaves_frees_the_upstream(front: ServiceProcess, upstream: ServiceProcess) -> None:
    with front.client.stream("POST", "/api/llm/generate", json=slow_question()) as response:
        lines = response.iter_lines()  # kept: a reader that is thrown away hangs up
        assert next(lines).startswith("data: ")
        assert upstream.health()["queue"]["running"] == 1
    eventually(lambda: upstream.health()["queue"]["running"] == 0, "the upstream was told")
    eventually(lambda: front.health()["queue"]["running"] == 0, "the place here is free")


def test_the_deadline_holds_here_and_frees_the_upstream(front: ServiceProcess, upstream: ServiceProcess) -> None:
    body = question(f"{new_words()} [[words:1900]] [[slow:20]]", max_new_tokens=1900)
    late = front.client.post("/api/llm/generate", json=body, headers={"X-Request-Timeout-Ms": "300"})
    check_error(late, 504, "deadline_exceeded", retryable=True)
    eventually(lambda: upstream.health()["queue"]["running"] == 0, "the upstream was told")


def test_an_upstream_killed_in_the_middle_is_missed_and_found_again() -> None:
    with (
        running_service() as first,
        running_service(LLM_BACKEND="openai", LLM_UPSTREAM_URL=f"http://127.0.0.1:{first.port}") as front,
    ):
        with front.client.stream("POST", "/api/llm/generate", json=slow_question()) as response:
            lines = response.iter_lines()
            assert next(lines).startswith("data: ")
            first.process.kill()
            check_broken_off(lines)
        eventually(lambda: front.client.get("/readyz").status_code == 503, "readiness tells")
        refused = front.generate(new_words())
        check_error(refused, 503, "model_loading", retryable=True)
        assert "Retry-After" in refused.headers
        with running_service(LLM_SERVICE_PORT=str(first.port)):
            eventually(lambda: front.client.get("/readyz").status_code == 200, "it was found again")
            assert front.generate(new_words()).status_code == 200


def test_a_wrong_key_ends_the_start_and_is_not_logged(upstream: ServiceProcess) -> None:
    with running_service(ready=None, **upstream_settings(upstream, LLM_UPSTREAM_API_KEY="sk-wrong-key")) as service:
        service.process.wait(60)
        assert "LLM_UPSTREAM_API_KEY" in service.log()
        assert "sk-wrong-key" not in service.log()


def test_the_key_is_nowhere_in_the_log(front: ServiceProcess) -> None:
    front.generate("hola")
    assert KEY not in front.log()
