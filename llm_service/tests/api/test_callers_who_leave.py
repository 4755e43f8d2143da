"""Callers who hang up: whole answers and streams, of both dialects, running and waiting."""

import asyncio
import json
import socket
import time
from typing import Any

import pytest

from tests.api.openai.openai_clients import LONG, MODEL, async_client, user
from tests.api.service_process import ServiceProcess, eventually, idle, leave_when_it_runs, question

CHAT: dict[str, Any] = {"model": MODEL, "messages": user(LONG), "stream": True, "n": 2, "max_tokens": 2000}


@pytest.mark.anyio
async def test_cancelling_a_coroutine_frees_its_place(service: ServiceProcess) -> None:
    async with async_client(service) as client:
        asked = asyncio.create_task(client.chat.completions.create(**CHAT | {"stream": False}))
        await asyncio.to_thread(eventually, lambda: service.health()["queue"]["running"] == 2, "both run")
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
    await asyncio.to_thread(eventually, lambda: idle(service), "its places are free")


def test_a_request_that_waits_leaves_the_queue_with_its_client(narrow: ServiceProcess) -> None:
    body = question(LONG, max_new_tokens=2000, stream=True)
    with narrow.client.stream("POST", "/api/llm/generate", json=body) as running:
        lines = running.iter_lines()  # httpx closes the connection when this goes
        next(lines)
        leave_when_it_runs(narrow, "/api/llm/generate", question("[[crash]] hola"), waiting=1)
        eventually(lambda: narrow.health()["queue"]["waiting"] == 0, "nobody waits")
        assert narrow.health()["queue"]["running"] == 1
    eventually(lambda: idle(narrow), "all is quiet")
    assert narrow.health()["restarts"] == 0, narrow.log()


@pytest.mark.parametrize(("path", "body"), [("/api/llm/generate", question(LONG)), ("/v1/chat/completions", CHAT)])
def test_callers_who_leave_at_any_moment_take_no_place_along(
    service: ServiceProcess, path: str, body: dict[str, Any]
) -> None:
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    for number in range(60):
        with socket.create_connection(("127.0.0.1", service.port)) as connection:
            connection.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
            time.sleep(0.004 * (number % 20))
    eventually(lambda: idle(service), "all places are free")
    assert service.generate("hola").status_code == 200
