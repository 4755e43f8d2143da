"""Streams from /v1/chat/completions, as OpenAI's client sees them and on the wire."""

from typing import Any

import httpx
import pytest
from openai import APIError
from openai.types.chat import ChatCompletionChunk

from tests.api.openai.openai_clients import MODEL, sync_client, user
from tests.api.service_process import ServiceProcess, events_of, eventually, idle


def stream(service: ServiceProcess, content: str, **fields: Any) -> httpx.Response:
    body = {"model": MODEL, "messages": user(content), "temperature": 0, "stream": True, **fields}
    return service.client.post("/v1/chat/completions", json=body)


def said(chunks: list[ChatCompletionChunk], index: int = 0) -> str:
    pieces = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices if choice.index == index]
    return "".join(pieces)


def test_a_stream_is_role_pieces_finish_done(service: ServiceProcess) -> None:
    response = stream(service, "¿cómo se dice ñandú en bora? ɨ́ɨ́")
    role, *pieces, finish, done = events_of(response)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["X-Request-ID"]
    assert role["choices"] == [
        {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
    ]
    assert "".join(piece["choices"][0]["delta"]["content"] for piece in pieces) == "¿cómo se dice ñandú en bora? ɨ́ɨ́"
    assert finish["choices"] == [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}]
    assert done == "[DONE]"
    assert len({(event["id"], event["created"], event["model"]) for event in (role, *pieces, finish)}) == 1
    assert all(event["object"] == "chat.completion.chunk" and "usage" not in event for event in (role, *pieces, finish))


def test_usage_comes_last_and_only_when_asked_for(service: ServiceProcess) -> None:
    *others, counted, done = events_of(stream(service, "uno dos tres", stream_options={"include_usage": True}))
    assert done == "[DONE]"
    assert all(event["usage"] is None for event in others)
    assert counted["choices"] == []
    assert counted["usage"] == {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}


def test_choices_are_told_apart(service: ServiceProcess) -> None:
    words = " ".join(f"palabra{number}" for number in range(10))
    with sync_client(service) as client:
        chunks = list(client.chat.completions.create(model=MODEL, messages=user(words), seed=5, n=3, stream=True))
        whole = client.chat.completions.create(model=MODEL, messages=user(words), seed=5, n=3)
    assert [said(chunks, index) for index in range(3)] == [choice.message.content for choice in whole.choices]
    roles = [choice.index for chunk in chunks for choice in chunk.choices if choice.delta.role]
    finished = [choice.index for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    assert sorted(roles) == sorted(finished) == [0, 1, 2]


def test_an_answer_of_no_token_still_has_its_role_and_end(service: ServiceProcess) -> None:
    role, finish, done = events_of(stream(service, "uno [[words:0]]"))
    assert role["choices"][0]["delta"]["role"] == "assistant"
    assert (finish["choices"][0]["finish_reason"], done) == ("stop", "[DONE]")


@pytest.mark.parametrize("choices", [1, 3])
def test_a_fault_after_the_first_token_is_one_error_event_for_all_choices(
    service: ServiceProcess, choices: int
) -> None:
    response = stream(service, "[[fail]] uno dos", n=choices)
    assert response.status_code == 200
    *_, last = events_of(response)
    assert (last["error"]["code"], last["error"]["type"]) == ("generation_failed", "server_error")
    assert response.text.count('"error"') == 1
    assert "[DONE]" not in response.text
    eventually(lambda: idle(service), "all places are free")


def test_the_client_raises_on_a_fault_after_the_first_token(service: ServiceProcess) -> None:
    with sync_client(service) as client:
        chunks = client.chat.completions.create(model=MODEL, messages=user("[[fail]] uno"), stream=True)
        with pytest.raises(APIError, match="fails on request") as caught:
            list(chunks)
    assert caught.value.code == "generation_failed"


def test_a_thought_is_told_from_the_answer(service: ServiceProcess) -> None:
    pieces = [
        event["choices"][0]["delta"]
        for event in events_of(stream(service, "<think> quizá uno </think> dos tres"))
        if event != "[DONE]"
    ]
    assert "".join(piece.get("reasoning_content", "") for piece in pieces).strip() == "quizá uno"
    assert "".join(piece.get("content", "") for piece in pieces).strip() == "dos tres"
