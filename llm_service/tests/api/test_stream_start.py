"""When a stream's headers are sent, and what comes before its first event."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from routers.event_stream import COMMENT, kept_alive
from tests.api.service_process import ServiceProcess, question, running_service

PATHS = ["/api/llm/generate", "/v1/chat/completions"]


def streamed(path: str, text: str) -> dict[str, object]:
    extra = {"model": "default"} if path.startswith("/v1") else {}
    return question(text, stream=True, **extra)


@pytest.mark.parametrize("path", PATHS)
def test_headers_come_before_the_first_token(path: str) -> None:
    with (
        running_service(LLM_DRAIN_GRACE_S="0.2") as service,
        # Ten minutes for the first token: without headers before it, the client would have given up.
        service.client.stream("POST", path, json=streamed(path, "hola [[slow:600000]]")) as response,
    ):
        assert response.status_code == 200


@pytest.mark.parametrize("path", PATHS)
def test_what_the_engine_refuses_has_a_status(service: ServiceProcess, path: str) -> None:
    assert service.client.post(path, json=streamed(path, "[[reject]]")).status_code == 400


@pytest.mark.parametrize("path", PATHS)
def test_a_fault_before_the_first_token_is_an_event(service: ServiceProcess, path: str) -> None:
    response = service.client.post(path, json=streamed(path, "[[crash]] hola"))
    assert response.status_code == 200
    assert "engine_restarted" in response.text
    assert "[DONE]" not in response.text


@pytest.mark.anyio
async def test_comments_come_until_the_first_event() -> None:
    async def events() -> AsyncGenerator[bytes, None]:
        for pause in (0.2, 0.1):
            await asyncio.sleep(pause)
            yield b"data: x\n\n"

    seen = [item async for item in kept_alive(events(), every_s=0.05)]
    assert seen.count(COMMENT) >= 2
    assert seen[-2:] == [b"data: x\n\n"] * 2


@pytest.mark.anyio
async def test_leaving_during_the_comments_ends_the_events() -> None:
    ended = asyncio.Event()

    async def events() -> AsyncGenerator[bytes, None]:
        try:
            await asyncio.sleep(60)
            yield b""
        finally:
            ended.set()

    stream = kept_alive(events(), every_s=0.01)
    assert await anext(stream) == COMMENT
    await stream.aclose()
    assert ended.is_set()
