"""Streams from /v1/chat/completions, as OpenAI's client sees them and on the wire."""

import asyncio
import json
import socket
import time
from typing import Any

import httpx
import pytest
from openai import APIError
from openai.types.chat import ChatCompletionChunk

from tests.api.openai_clients import LONG, MODEL, ask, async_client, sync_client, user
from tests.api.service_process import ServiceProcess, eventually, idle
from tests.api.test_generate import events_of


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


def test_the_client_reads_a_stream(service: ServiceProcess) -> None:
    with sync_client(service) as client:
        chunks = list(
            client.chat.completions.create(model=MODEL, messages=user("uno dos tres"), temperature=0, stream=True)
        )
    assert said(chunks) == "uno dos tres"
    assert chunks[-1].choices[0].finish_reason == "stop"


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


def test_callers_who_leave_at_any_moment_take_no_place_along(service: ServiceProcess) -> None:
    body = json.dumps({"model": MODEL, "messages": user(LONG), "stream": True, "n": 2, "max_tokens": 2000}).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    for number in range(60):
        with socket.create_connection(("127.0.0.1", service.port)) as connection:
            connection.sendall(head.encode() + body)
            time.sleep(0.004 * (number % 20))
    eventually(lambda: idle(service), "all places are free")
    with sync_client(service) as client:
        assert ask(client, "hola", n=8).choices[7].message.content == "hola"


@pytest.mark.anyio
async def test_cancelling_a_coroutine_frees_its_place(service: ServiceProcess) -> None:
    async with async_client(service) as client:
        asked = asyncio.create_task(
            client.chat.completions.create(model=MODEL, messages=user(LONG), n=2, max_tokens=2000)
        )
        await asyncio.to_thread(eventually, lambda: service.health()["queue"]["running"] == 2, "both run")
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
    await asyncio.to_thread(eventually, lambda: idle(service), "its places are free")


@pytest.mark.anyio
async def test_coroutines_read_streams_side_by_side(service: ServiceProcess) -> None:
    async def read(client: Any, number: int) -> str:
        chunks = await client.chat.completions.create(
            model=MODEL, messages=user(f"pregunta {number} [[words:20]] [[slow:2]]"), temperature=0, stream=True
        )
        return said([chunk async for chunk in chunks])

    async with async_client(service) as client:
        answers = await asyncio.gather(*(read(client, number) for number in range(12)))
    assert answers == [" ".join(["pregunta", str(number)] * 10) for number in range(12)]


def test_a_thought_is_told_from_the_answer(service: ServiceProcess) -> None:
    pieces = [
        event["choices"][0]["delta"]
        for event in events_of(stream(service, "<think> quizá uno </think> dos tres"))
        if event != "[DONE]"
    ]
    assert "".join(piece.get("reasoning_content", "") for piece in pieces).strip() == "quizá uno"
    assert "".join(piece.get("content", "") for piece in pieces).strip() == "dos tres"
