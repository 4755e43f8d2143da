"""The contract's error table, row by row, over HTTP."""

import concurrent.futures
from typing import Any

import pytest

from tests.api.service_process import ServiceProcess, eventually, question

USER = {"role": "user", "content": "hola"}


def check_error(response: Any, status: int, type_: str, *, retryable: bool = False) -> dict[str, Any]:
    """Check the shape of an error and return it."""
    assert response.status_code == status, response.text
    error: dict[str, Any] = response.json()["error"]
    assert error["type"] == type_
    assert error["retryable"] is retryable
    assert error["request_id"] == response.headers["X-Request-ID"]
    assert error["message"]
    assert "Traceback" not in response.text
    assert "/work" not in error["message"]
    assert ".py" not in error["message"]
    return error


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"messages": []}, "messages"),
        ({}, "messages"),
        ({"messages": "hola"}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": "a\x00b"}]}, "messages.0.content"),
        ({"messages": [{"role": "user"}]}, "messages.0.content: "),
        ({"messages": [USER], "keep_alive": []}, "keep_alive: "),
        ({"messages": [USER], "tools": [], "tool_choice": {"type": "function"}}, "tool_choice.function: "),
        (
            {"messages": [USER], "response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
            "response_format.json_schema.name: ",
        ),
        ({"messages": [USER], "max_new_tokens": 0}, "max_new_tokens"),
        ({"messages": [USER], "max_new_tokens": 1.5}, "max_new_tokens"),
        ({"messages": [USER], "max_new_tokens": "5"}, "max_new_tokens"),
        ({"messages": [USER], "max_new_tokens": True}, "max_new_tokens"),
    ],
)
def test_a_bad_field_is_named(service: ServiceProcess, body: dict[str, Any], field: str) -> None:
    error = check_error(service.client.post("/api/llm/generate", json=body), 422, "invalid_request")
    assert error["message"].startswith(field)


def test_whole_numbers_may_be_written_as_either_kind_of_number(service: ServiceProcess) -> None:
    assert service.generate("hola", max_new_tokens=5.0, temperature=0, seed=7.0).status_code == 200


@pytest.mark.parametrize(
    "content",
    [
        b'{"messages": [{"role": "user", "content": "hola"}], "temperature": NaN}',
        b'{"messages": [{"role": "user", "content": "hola"}], "top_p": Infinity}',
        b'{"messages": [{"role": "user", "content": "\\ud800"}]}',
        b"[]",
    ],
)
def test_a_malformed_body_is_refused(service: ServiceProcess, content: bytes) -> None:
    response = service.client.post("/api/llm/generate", content=content, headers={"content-type": "application/json"})
    check_error(response, 422, "invalid_request")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "kind"),
    [
        ("POST", "/api/llm/embed", {"texts": []}, 400, "invalid_request"),
        ("POST", "/api/llm/embed", {"texts": ["a"] * 2049}, 400, "invalid_request"),
        ("POST", "/api/llm/generate", question("a" * (8 * 1024 * 1024)), 413, "request_too_large"),
        ("GET", "/api/llm/nothing", None, 404, "not_found"),
        ("GET", "/api/llm/generate", None, 405, "method_not_allowed"),
    ],
    ids=["no texts", "too many texts", "too large a body", "unknown route", "wrong method"],
)
def test_what_cannot_be_asked_is_refused(
    service: ServiceProcess, method: str, path: str, body: Any, status: int, kind: str
) -> None:
    check_error(service.client.request(method, path, json=body), status, kind)


def test_a_prompt_longer_than_the_context_is_told_both_counts(service: ServiceProcess) -> None:
    error = check_error(service.generate("palabra " * 3000), 400, "context_length_exceeded")
    assert error["prompt_tokens"] >= 3000
    assert error["context_length"] == 2048


def test_one_broken_request_does_not_harm_the_next(service: ServiceProcess) -> None:
    check_error(service.generate("[[fail]] hola"), 500, "generation_failed")
    assert service.generate("hola").status_code == 200


def test_a_deadline_ends_a_slow_request(service: ServiceProcess) -> None:
    response = service.client.post(
        "/api/llm/generate",
        json=question("uno [[words:1000]] [[slow:20]]", max_new_tokens=1000),
        headers={"X-Request-Timeout-Ms": "200"},
    )
    check_error(response, 504, "deadline_exceeded", retryable=True)
    eventually(lambda: service.health()["queue"]["running"] == 0, "the place is free again")


@pytest.mark.parametrize("value", ["0", "-5", "soon"])
def test_a_senseless_deadline_is_refused(service: ServiceProcess, value: str) -> None:
    response = service.client.post("/api/llm/generate", json=question("hola"), headers={"X-Request-Timeout-Ms": value})
    check_error(response, 422, "invalid_request")


def test_a_request_id_is_echoed_unless_it_could_do_harm(service: ServiceProcess) -> None:
    kept = service.client.get("/livez", headers={"X-Request-ID": "page-42"})
    replaced = service.client.get("/livez", headers={"X-Request-ID": "a b\tc" + "x" * 300})
    assert kept.headers["X-Request-ID"] == "page-42"
    assert replaced.headers["X-Request-ID"] != "a b\tc" + "x" * 300
    assert len(replaced.headers["X-Request-ID"]) == 32


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back(narrow: ServiceProcess) -> None:
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        inside = [pool.submit(narrow.generate, "uno [[words:40]] [[slow:50]]") for _ in range(2)]
        eventually(lambda: narrow.health()["queue"] == {"running": 1, "waiting": 1, "capacity": 2}, "full")
        refused = narrow.generate("hola")
        check_error(refused, 503, "overloaded", retryable=True)
        assert int(refused.headers["Retry-After"]) >= 1
        assert [future.result().status_code for future in inside] == [200, 200]
    assert narrow.generate("hola").status_code == 200


def test_a_request_whose_deadline_passes_in_the_queue_costs_no_token(narrow: ServiceProcess) -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(narrow.generate, "uno [[words:60]] [[slow:60]]")
        eventually(lambda: narrow.health()["queue"]["running"] == 1, "the first one runs")
        response = narrow.client.post(
            "/api/llm/generate", json=question("[[crash]] hola"), headers={"X-Request-Timeout-Ms": "100"}
        )
        # Had it reached the engine, the worker would have died of it.
        check_error(response, 504, "deadline_exceeded", retryable=True)
        assert first.result().status_code == 200
        assert narrow.health()["restarts"] == 0
