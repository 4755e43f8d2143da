"""Every error on /v1 has OpenAI's shape, and raises the right class in OpenAI's client."""

import concurrent.futures
from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from tests.api.openai.openai_clients import LONG, MODEL, ask, sync_client, texts, user
from tests.api.service_process import KEY, ServiceProcess, eventually, idle

HOLA = {"model": MODEL, "messages": user("hola")}
CHAT = "/v1/chat/completions"


def check(response: httpx.Response, status: int, code: str, param: str | None = None) -> dict[str, Any]:
    """Check the shape of an error and return it."""
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error"}
    error: dict[str, Any] = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == ("invalid_request_error" if status < 500 else "server_error")
    assert (error["code"], error["param"]) == (code, param)
    assert error["message"]
    assert response.headers["X-Request-ID"]
    return error


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"model": None}, "missing_required_parameter", "model"),
        ({"messages": []}, "invalid_value", "messages"),
        ({"messages": "hola"}, "invalid_type", "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "invalid_value", "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "missing_required_parameter", "messages[0].content"),
        ({"messages": [{"role": "user", "content": None}]}, "missing_required_parameter", "messages[0].content"),
        ({"messages": [{"role": "user", "content": []}]}, "invalid_value", "messages[0].content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "a"}}]}]},
            "invalid_value",
            "messages[0].content[0].type",
        ),
        ({"messages": user("a\x00b")}, "invalid_value", "messages[0].content"),
        ({"temperature": 2.1}, "invalid_value", "temperature"),
        ({"top_p": -1}, "invalid_value", "top_p"),
        ({"max_tokens": 0}, "invalid_value", "max_tokens"),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "invalid_value", "max_tokens"),
        ({"n": 0}, "invalid_value", "n"),
        ({"n": 9}, "invalid_value", "n"),
        ({"seed": -1}, "invalid_value", "seed"),
        ({"stop": ["a"] * 9}, "invalid_value", "stop"),
        ({"stop": [""]}, "invalid_value", "stop[0]"),
        ({"stream_options": {"include_usage": True}}, "invalid_value", "stream_options"),
        ({"stream": "perhaps"}, "invalid_type", "stream"),
        ({"stream": "true"}, "invalid_type", "stream"),
        ({"seed": "7"}, "invalid_type", "seed"),
        ({"n": True}, "invalid_type", "n"),
        ({"response_format": {"type": "yaml"}}, "invalid_value", "response_format"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
            "missing_required_parameter",
            "response_format.json_schema.name",
        ),
        (
            {"enable_thinking": True, "chat_template_kwargs": {"enable_thinking": False}},
            "invalid_value",
            "enable_thinking",
        ),
        ({"top_k": -2}, "invalid_value", "top_k"),
        ({"top_logprobs": 2}, "invalid_value", "top_logprobs"),
        ({"tool_choice": "required"}, "invalid_value", "tool_choice"),
        ({"structured_outputs": {"regex": "a", "choice": ["b"]}}, "invalid_value", "structured_outputs"),
        ({"structured_outputs": {"regex": "(?=a)b"}}, "unsupported", "structured_outputs.regex"),
    ],
)
def test_a_bad_field_is_named(service: ServiceProcess, change: dict[str, Any], code: str, param: str) -> None:
    error = check(service.client.post(CHAT, json=HOLA | change), 400, code, param)
    assert error["message"].startswith(param)


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("chat/completions", {"messages": user("hola")}),
        ("completions", {"prompt": "hola"}),
        ("responses", {"input": "hola"}),
        ("embeddings", {"input": "hola"}),
        ("rerank", {"query": "hola", "documents": ["hola"]}),
    ],
)
def test_an_unknown_model_is_not_found(ranking: ServiceProcess, path: str, asked: dict[str, Any]) -> None:
    error = check(ranking.client.post(f"/v1/{path}", json=asked | {"model": "gpt-4o"}), 404, "model_not_found", "model")
    assert "gpt-4o" in error["message"]
    assert "'default'" in error["message"]


def test_unknown_routes_and_wrong_methods_have_the_shape_too(service: ServiceProcess) -> None:
    check(service.client.post("/v1/assistants", json={}), 404, "not_found")
    check(service.client.get("/v1"), 404, "not_found")
    check(service.client.get(CHAT), 405, "method_not_allowed")
    assert "retryable" in service.client.get("/v10/models").json()["error"]


def test_a_senseless_deadline_is_refused(service: ServiceProcess) -> None:
    response = service.client.post(CHAT, json=HOLA, headers={"X-Request-Timeout-Ms": "soon"})
    check(response, 400, "invalid_value", "X-Request-Timeout-Ms")


def test_a_deadline_ends_a_slow_request(service: ServiceProcess) -> None:
    body = {"model": MODEL, "messages": user(LONG), "max_tokens": 2000, "n": 2}
    response = service.client.post(CHAT, json=body, headers={"X-Request-Timeout-Ms": "200"})
    check(response, 504, "deadline_exceeded")
    assert response.headers["X-Should-Retry"] == "true"
    eventually(lambda: idle(service), "its places are free")


def test_a_wrong_key_is_an_authentication_error(guarded: ServiceProcess) -> None:
    response = guarded.client.post(CHAT, json=HOLA)
    check(response, 401, "invalid_api_key")
    assert response.headers["WWW-Authenticate"] == "Bearer"
    with sync_client(guarded, key="wrong") as client, pytest.raises(openai.AuthenticationError):
        client.models.list()
    with sync_client(guarded, key=KEY) as client:
        assert texts(ask(client, "hola", temperature=0)) == ["hola"]


def test_a_field_that_only_the_engine_cannot_honour_is_named_too(service: ServiceProcess) -> None:
    check(
        service.client.post(CHAT, json=HOLA | {"logprobs": True}),
        400,
        "unsupported",
        "logprobs",
    )
    too_long = service.client.post(CHAT, json=HOLA | {"messages": user("palabra " * 3000)})
    error = check(too_long, 400, "context_length_exceeded", "messages")
    assert "3000" in error["message"]
    assert "2047" in error["message"]


CLASSES: list[tuple[Callable[[OpenAI], Any], type[openai.APIStatusError], str]] = [
    (lambda client: ask(client, "hola", temperature=3), openai.BadRequestError, "invalid_value"),
    (lambda client: ask(client, "palabra " * 3000), openai.BadRequestError, "context_length_exceeded"),
    (lambda client: ask(client, "[[reject]] hola"), openai.BadRequestError, "unsupported"),
    (lambda client: client.models.retrieve("gpt-4o"), openai.NotFoundError, "model_not_found"),
    (lambda client: ask(client, "[[fail]] hola"), openai.InternalServerError, "generation_failed"),
]


@pytest.mark.parametrize(("call", "expected", "code"), CLASSES)
def test_the_client_raises_the_class_it_has_for_it(
    service: ServiceProcess, call: Callable[[OpenAI], Any], expected: type[openai.APIStatusError], code: str
) -> None:
    with sync_client(service) as client, pytest.raises(expected) as caught:
        call(client)
    assert caught.value.code == code
    assert caught.value.request_id


def test_the_client_does_not_repeat_what_broke(service: ServiceProcess) -> None:
    def asked() -> int:
        return service.log().count(f'"route": "{CHAT}", "status": 500')

    before = asked()
    with sync_client(service, max_retries=2) as client, pytest.raises(openai.InternalServerError):
        ask(client, "[[fail]] hola")
    eventually(lambda: asked() > before, "the request is in the log")
    assert asked() == before + 1


def test_the_client_repeats_what_found_no_place(narrow: ServiceProcess) -> None:
    with sync_client(narrow, max_retries=8) as client, concurrent.futures.ThreadPoolExecutor(2) as pool:
        slow = {"model": MODEL, "messages": user("uno [[words:75]] [[slow:20]]")}
        inside = [pool.submit(narrow.client.post, CHAT, json=slow) for _ in range(2)]
        eventually(lambda: narrow.health()["queue"]["waiting"] == 1, "both places are taken")
        refused = narrow.client.post(CHAT, json=HOLA)
        check(refused, 503, "overloaded")
        assert int(refused.headers["Retry-After"]) >= 1
        assert refused.headers["X-Should-Retry"] == "true"
        answer = client.chat.completions.with_raw_response.create(model=MODEL, messages=user("hola"))
        assert answer.retries_taken >= 1
        assert answer.parse().choices[0].message.content == "hola"
        assert [each.result().status_code for each in inside] == [200, 200]
