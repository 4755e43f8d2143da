"""The life of a local model's process, on real sockets: started, shed, idle, killed, hung, restarted."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from adapters.huggingface_adapter import HuggingFaceAdapter
from adapters.llm_service.config import ServiceConfig
from adapters.llm_service_adapter import LLMServiceAdapter
from adapters.local.config import LocalModelConfig
from adapters.local.launcher import Launcher
from adapters.ports.models import Completion, LogicalError, SamplingOptions, TechnicalError, TextDelta
from config.settings import BACKEND_ROOT

pytestmark = pytest.mark.anyio
STAND_IN = (sys.executable, "-m", "tests.models.stand_in_model")


@asynccontextmanager
async def adapter(folder: Path, **config: Any) -> AsyncIterator[HuggingFaceAdapter]:
    given: dict[str, Any] = {"model": "any", "dimension": 3, "timeout_s": 60.0, "idle_s": None, **config}
    made = HuggingFaceAdapter(LocalModelConfig(hub_cache=str(folder), **given), STAND_IN)
    try:
        yield made
    finally:
        await made.close()


async def ask(local: LLMServiceAdapter, question: str = "hola") -> Completion:
    return await local.complete([{"role": "user", "content": question}], SamplingOptions())


async def begin(local: HuggingFaceAdapter, question: str) -> "asyncio.Task[None]":
    """Ask, and return when the first words are there."""
    begun = asyncio.Event()

    async def listen() -> None:
        async with aclosing(local.stream([{"role": "user", "content": question}], SamplingOptions())) as parts:
            async for _ in parts:
                begun.set()

    task = asyncio.create_task(listen())
    await asyncio.wait((task, asyncio.create_task(begun.wait())), return_when=asyncio.FIRST_COMPLETED)
    assert not task.done()
    return task


async def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"timed out waiting until {what}"
        await asyncio.sleep(0.02)


def is_gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def running(launcher: Launcher) -> int:
    assert launcher.pid is not None
    return launcher.pid


def noted(folder: Path) -> list[str]:
    file = folder / "log"
    return file.read_text(encoding="utf-8").split() if file.is_file() else []


async def test_first_questions_wait_for_one_slow_load_and_vectors_do_not(tmp_path: Path) -> None:
    async with adapter(tmp_path, model="slow") as local:
        assert local.generator.pid is None
        asking = [asyncio.create_task(ask(local, f"word {number}")) for number in range(10)]
        assert (await local.embed_texts(["hola", "casa"])).vectors == [[1.0, 0.0, 0.0]] * 2
        assert not any(task.done() for task in asking)
        answers = await asyncio.gather(*asking)
        assert await local.read_fingerprint() == "stand-in"
    assert [answer.answer for answer in answers] == [f"word {number}" for number in range(10)]
    assert {(answer.served_by, answer.model, answer.degraded) for answer in answers} == {("local", "stand-in", True)}
    assert sorted(noted(tmp_path)) == ["embedder", "generator"]


async def test_a_service_that_is_left_alone_makes_the_local_model_ready(tmp_path: Path) -> None:
    async with adapter(tmp_path) as local:
        away = ServiceConfig(urls=("http://127.0.0.1:9",))
        service = LLMServiceAdapter(away, on_outage=local.warm)
        with pytest.raises(TechnicalError):
            await ask(service)
        assert (await asyncio.wrap_future(local.generator.address())).port
        await service.close()


async def test_what_is_too_much_is_refused_at_once_and_room_is_given_back(tmp_path: Path) -> None:
    async with adapter(tmp_path, max_waiting=1) as local:
        computed = await begin(local, "slow")
        waiting = asyncio.create_task(ask(local))
        await asyncio.sleep(1)
        with pytest.raises(TechnicalError) as caught:
            await ask(local)
        assert (caught.value.reason, caught.value.retry_after_s) == ("overloaded", 30)
        assert not computed.done()
        assert not waiting.done()
        waiting.cancel()
        await asyncio.sleep(1)
        third = asyncio.create_task(ask(local, "third"))
        await asyncio.sleep(0.1)
        computed.cancel()
        assert (await third).answer == "third"


@pytest.mark.parametrize("stream", [True, False])
async def test_hanging_up_stops_the_computation(tmp_path: Path, stream: bool) -> None:
    async with adapter(tmp_path) as local:
        await ask(local)
        task = await begin(local, "slow") if stream else asyncio.create_task(ask(local, "slow"))
        await asyncio.sleep(0.3)
        assert "end-of-slow" not in noted(tmp_path)
        task.cancel()
        await until(lambda: "end-of-slow" in noted(tmp_path), "the generation has ended")
        assert (await ask(local)).answer == "hola"


async def test_an_idle_process_ends_and_the_next_question_starts_another(tmp_path: Path) -> None:
    async with adapter(tmp_path, idle_s=0.5) as local:
        await ask(local)
        first = running(local.generator)
        await until(lambda: local.generator.pid is None and is_gone(first), "the process has ended")
        assert (await ask(local)).answer == "hola"
        task = await begin(local, "slow")
        busy = running(local.generator)
        await asyncio.sleep(1.5)  # a process with work is not idle
        assert local.generator.pid == busy
        task.cancel()


async def test_a_killed_process_costs_no_answer(tmp_path: Path) -> None:
    async with adapter(tmp_path, model="slow") as local:
        asking = [asyncio.create_task(ask(local, f"word {number}")) for number in range(50)]
        await until(lambda: "generator" in noted(tmp_path), "it loads")
        psutil.Process(running(local.generator)).kill()
        assert len(await asyncio.gather(*asking)) == 50
        assert noted(tmp_path).count("generator") == 2


async def test_a_question_that_ends_the_process_fails_and_the_next_one_is_answered(tmp_path: Path) -> None:
    async with adapter(tmp_path) as local:
        with pytest.raises(TechnicalError):
            await ask(local, "crash")
        await asyncio.sleep(1.5)  # the pause after several crashes
        assert (await ask(local)).answer == "hola"


@pytest.mark.skipif(sys.platform == "win32", reason="suspends as POSIX does")
@pytest.mark.parametrize("how", ["stopped", "blocked"])
async def test_a_process_that_hangs_is_killed_and_replaced(tmp_path: Path, how: str) -> None:
    async with adapter(tmp_path, stall_timeout_s=2.0) as local:
        await ask(local)
        pid = running(local.generator)
        await asyncio.sleep(1.5)  # a heartbeat says that it has loaded
        task = await begin(local, "slow" if how == "stopped" else "hang")
        if how == "stopped":
            psutil.Process(pid).suspend()
        assert (await ask(local)).answer == "hola"
        assert is_gone(pid)
        with pytest.raises(TechnicalError):
            await task


async def test_a_model_whose_load_ends_the_process_is_left_alone_for_longer_and_longer(tmp_path: Path) -> None:
    async with adapter(tmp_path, model="crashes") as local:
        for _ in range(3):
            with pytest.raises(TechnicalError) as caught:
                await ask(local)
            assert caught.value.reason in ("connect", "protocol")
        assert 2 <= noted(tmp_path).count("generator") <= 4
        # The other model is not to blame.
        assert (await local.embed_texts(["hola"])).fingerprint == "stand-in"


async def test_a_model_that_cannot_be_loaded_is_tried_again_after_a_while(tmp_path: Path) -> None:
    async with adapter(tmp_path, model="fails", retry_load_s=2.0) as local:
        for _ in range(2):
            with pytest.raises(TechnicalError) as caught:
                await ask(local)
            assert caught.value.reason == "local_unavailable"
        assert noted(tmp_path).count("generator") == 1
        await until(lambda: local.generator.pid is None, "the process has ended")
        with pytest.raises(TechnicalError):
            await ask(local)
        assert noted(tmp_path).count("generator") == 2


@pytest.mark.parametrize(
    ("command", "message"),
    [(("no such program",), "could not be started: .*no such"), ((sys.executable, "-c", "exit(7)"), "with status 7")],
)
async def test_a_process_that_does_not_come_up_is_a_technical_error(command: tuple[str, ...], message: str) -> None:
    local = HuggingFaceAdapter(LocalModelConfig(), command)
    with pytest.raises(TechnicalError, match=message):
        await ask(local)
    await local.close()


async def test_refusals_keep_their_kind_and_a_late_fault_ends_the_stream_without_the_question(tmp_path: Path) -> None:
    async with adapter(tmp_path) as local:
        with pytest.raises(LogicalError, match="9 tokens") as caught:
            await ask(local, "long")
        assert (caught.value.status, caught.value.error_type) == (400, "context_length_exceeded")
        async with aclosing(local.stream([{"role": "user", "content": "late"}], SamplingOptions())) as parts:
            assert await anext(parts) == TextDelta("late")
            with pytest.raises(TechnicalError, match="generation_failed") as broken:
                await anext(parts)
        assert "secret" not in str(broken.value)


async def test_only_the_backend_is_served_and_its_key_is_on_no_command_line(tmp_path: Path) -> None:
    async with adapter(tmp_path) as local:
        address = await asyncio.wrap_future(local.generator.address())
        url = f"http://127.0.0.1:{address.port}/readyz"
        async with httpx.AsyncClient() as client:
            assert (await client.get(url)).status_code == 401
            refused = await client.get(url, headers={"Authorization": "Bearer other"})
        assert refused.json()["error"]["type"] == "unauthorized"
        assert address.key not in " ".join(psutil.Process(running(local.generator)).cmdline())
        assert {each.laddr.ip for each in psutil.Process(running(local.generator)).net_connections()} == {"127.0.0.1"}


async def test_closing_ends_a_process_that_is_busy(tmp_path: Path) -> None:
    async with adapter(tmp_path) as local:
        task = await begin(local, "hang")
        pid = running(local.generator)
    assert is_gone(pid)
    with pytest.raises(TechnicalError):
        await task
    with pytest.raises(OSError, match="not running"):
        await asyncio.wrap_future(local.generator.address())


PARENT = """
import asyncio, sys
from adapters.ports.models import SamplingOptions
from adapters.huggingface_adapter import HuggingFaceAdapter
from adapters.local.config import LocalModelConfig

async def main():
    config = LocalModelConfig(model="any", hub_cache=sys.argv[1], dimension=3)
    local = HuggingFaceAdapter(config, (sys.executable, "-m", "tests.models.stand_in_model"))
    await local.embed_texts(["hola"])
    async for part in local.stream([{"role": "user", "content": "slow"}], SamplingOptions()):
        print(local.generator.pid, local.embedder.pid, flush=True)

asyncio.run(main())
"""


def test_no_process_outlives_a_parent_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)],
        cwd=BACKEND_ROOT,
        env={**os.environ, "ENV_FILES": "none"},
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        children = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(children) == 2
        assert not any(is_gone(pid) for pid in children)
        parent.kill()
        asyncio.run(until(lambda: all(is_gone(pid) for pid in children), "the children have ended too"))
