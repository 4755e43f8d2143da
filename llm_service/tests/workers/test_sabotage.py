"""Workers that send nonsense: the waiting request fails, and the worker is replaced."""

import asyncio
import io
import pickle
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from config.settings import APP_DIR, Settings
from engines.errors import EngineRestarted, ModelLoading, Unsupported
from engines.events import Failed, Finished, RequestEvent
from engines.requests import ChatMessage, GenerationRequest, SamplingParams
from workers import child, frames
from workers.frames import FrameWriter, read_frames
from workers.parent import WorkerClient
from workers.supervision import start_task, start_thread

pytestmark = pytest.mark.anyio

SETTINGS = Settings(_env_file=None, llm_backend="fake", embedding_backend="fake")  # type: ignore[call-arg]


def request(text: str = "hola") -> GenerationRequest:
    return GenerationRequest("r", (ChatMessage("user", text),), SamplingParams(4, 0.0, 1.0))


@asynccontextmanager
async def worker(*program: str) -> AsyncIterator[WorkerClient]:
    client = WorkerClient("generator", SETTINGS, program=(sys.executable, "-m", *program))
    await client.start()
    async with asyncio.timeout(120):
        while client.state != "ready":  # noqa: ASYNC110 - a state, not an event
            await asyncio.sleep(0.02)
    try:
        yield client
    finally:
        await client.stop()


async def ask(client: WorkerClient, text: str = "hola") -> list[RequestEvent]:
    async with asyncio.timeout(120), client.open(request(text)) as events:
        return [event async for event in events]


@pytest.mark.parametrize("how", ["huge", "garbage", "unknown", "closes", "short"])
async def test_a_worker_that_breaks_the_protocol_is_replaced(tmp_path: Path, how: str) -> None:
    async with worker("tests.workers.saboteur", str(tmp_path / "done"), how) as client:
        with pytest.raises(EngineRestarted):
            await ask(client)
        (answer,) = await ask(client)
        assert isinstance(answer, Finished)
        assert client.restarts == 1


async def test_no_request_waits_for_a_worker_that_never_was_ready() -> None:
    client = WorkerClient("generator", SETTINGS, program=(sys.executable, "-c", "raise SystemExit(3)"))
    await client.start()
    try:
        async with asyncio.timeout(60):
            while client.state != "restarting":  # noqa: ASYNC110 - a state, not an event
                await asyncio.sleep(0.02)
        with pytest.raises(ModelLoading):
            async with asyncio.timeout(5), client.open(request()):
                pass
    finally:
        await client.stop()


async def test_no_request_waits_for_a_replacement_that_fails(tmp_path: Path) -> None:
    async with worker("tests.workers.saboteur", str(tmp_path / "done"), "dies for good") as client:
        with pytest.raises(EngineRestarted):
            await ask(client)
        for _ in range(2):
            async with asyncio.timeout(60):
                with pytest.raises(ModelLoading):
                    await ask(client)


async def test_a_request_too_large_for_a_frame_is_refused_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async with worker("workers.child", "generator") as client:
        monkeypatch.setattr(frames, "MAX_FRAME_BYTES", 10_000)
        with pytest.raises(Unsupported):
            await ask(client, "palabra " * 10_000)
        assert isinstance((await ask(client))[-1], Finished)
        assert client.restarts == 0


def test_an_answer_too_large_for_a_frame_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_FRAME_BYTES", 10_000)
    pipe = io.BytesIO()
    child._send(
        FrameWriter(pipe), [Finished("large", "x" * 20_000, "stop", 1, 1), Finished("small", "x", "stop", 1, 1)]
    )
    pipe.seek(0)
    (failed,), (finished,) = read_frames(pipe)
    assert isinstance(failed, Failed)
    assert (failed.request_id, failed.error.retryable) == ("large", False)
    assert finished.request_id == "small"


def test_an_error_crosses_the_pipe_as_it_is() -> None:
    error = Unsupported("not here", field="seed", retry_after_s=2.0, prompt_tokens=3)
    copy = pickle.loads(pickle.dumps(Failed("r", error))).error
    assert type(copy) is Unsupported
    assert (copy.message, copy.field, copy.retry_after_s, copy.details) == (
        "not here",
        "seed",
        2.0,
        {"prompt_tokens": 3},
    )


async def test_a_supervisor_that_fails_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    reasons: list[str] = []

    def no_process(*_: Any, **__: Any) -> None:
        raise RuntimeError("no process today")

    monkeypatch.setattr(subprocess, "Popen", no_process)
    client = WorkerClient("generator", SETTINGS, on_fatal=reasons.append)
    await client.start()
    async with asyncio.timeout(120):
        while not reasons:  # noqa: ASYNC110 - a state, not an event
            await asyncio.sleep(0.01)
    assert client.state == "failed"
    await client.stop()


CHILD = """
import os, sys, time
from workers import child
def load(settings):
    assert os.read(0, 1) == b"", "standard input is not empty"
    sys.stderr.write("loading\\n"); sys.stderr.flush()
    time.sleep(600)
child.LOADERS = {"generator": load}
os._exit(child.main("generator"))
"""


def test_a_parent_that_dies_during_loading_ends_its_worker() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD],
        cwd=APP_DIR,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdin is not None
        assert process.stderr is not None
        FrameWriter(process.stdin).send(SETTINGS)  # type: ignore[arg-type]
        assert process.stderr.readline() == b"loading\n"
        process.stdin.close()
        assert process.wait(60) == 0


def test_the_end_of_a_thread_is_reported_with_its_reason() -> None:
    ends: list[BaseException | None] = []
    reason = ValueError("broken")

    def fail() -> None:
        raise reason

    for target in (fail, lambda: None):
        start_thread(target, "thread", ends.append).join(10)
    assert ends == [reason, None]


async def test_the_end_of_a_task_is_reported_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    ends: list[BaseException | None] = []
    reason = ValueError("broken")

    async def fail() -> None:
        raise reason

    async def wait() -> None:
        await asyncio.sleep(600)

    start_task(fail(), "failing", ends.append)
    waiting = start_task(wait(), "waiting", ends.append)
    await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.sleep(0.01)
    assert ends == [reason, None]
    assert "the task failing failed" in caplog.text
