"""The life of the local models' process, with models that need no weights: started, shed, left, idle, killed, hung."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from adapters.base import Completion, LogicalError, SamplingOptions, TechnicalError, TextDelta
from adapters.huggingface_adapter import HuggingFaceAdapter
from adapters.local_config import LocalModelConfig
from config.settings import BACKEND_ROOT

pytestmark = pytest.mark.anyio
STAND_IN = (sys.executable, "-m", "tests.local_stand_in")
OPTIONS = SamplingOptions()


@asynccontextmanager
async def adapter(folder: Path, **config: Any) -> AsyncIterator[HuggingFaceAdapter]:
    given: dict[str, Any] = {"model": "any", "dimension": 3, "timeout_s": 60.0, "idle_s": None, **config}
    made = HuggingFaceAdapter(LocalModelConfig(unpacked_cache=folder, **given), STAND_IN)
    try:
        yield made
    finally:
        await made.close()


async def ask(local: HuggingFaceAdapter, question: str = "hola") -> Completion:
    return await local.complete([{"role": "user", "content": question}], OPTIONS)


async def begin(local: HuggingFaceAdapter, question: str) -> "asyncio.Task[Completion]":
    """Ask, and return when the first words are there."""
    begun = asyncio.Event()

    async def listen() -> Completion:
        async with aclosing(local.stream([{"role": "user", "content": question}], OPTIONS)) as parts:
            async for part in parts:
                begun.set()
                if isinstance(part, Completion):
                    return part
        raise AssertionError("it ended without an answer")

    task = asyncio.create_task(listen())
    waiting = asyncio.create_task(begun.wait())
    await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
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


def running_pid(local: HuggingFaceAdapter) -> int:
    assert local.pid is not None
    return local.pid


def loads(folder: Path) -> list[str]:
    file = folder / "loads"
    return file.read_text(encoding="utf-8").split() if file.is_file() else []


async def test_many_first_questions_load_the_model_once(tmp_path: Path) -> None:
    async with adapter(tmp_path, max_waiting=9) as local:
        assert local.pid is None
        answers = await asyncio.gather(*(ask(local, f"word {number}") for number in range(10)))
    assert [answer.answer for answer in answers] == [f"word {number}" for number in range(10)]
    assert {(answer.served_by, answer.model) for answer in answers} == {("local", "stand-in")}
    assert loads(tmp_path) == ["language"]


async def test_what_is_too_much_is_refused_at_once_and_room_is_given_back(tmp_path: Path) -> None:
    async with adapter(tmp_path, max_waiting=1) as local:
        computed = await begin(local, "slow")
        waiting = asyncio.create_task(ask(local))
        await asyncio.sleep(0)
        with pytest.raises(TechnicalError) as caught:
            await ask(local)
        assert caught.value.reason == "overloaded"
        # The embedder does not wait for the language model.
        assert (await local.embed_texts(["hola", "casa"])).vectors == [[1.0, 0.0, 0.0]] * 2

        waiting.cancel()
        third = asyncio.create_task(ask(local, "third"))
        await asyncio.sleep(0)
        computed.cancel()
        assert (await third).answer == "third"
        for task in (computed, waiting):
            with pytest.raises(asyncio.CancelledError):
                await task


async def test_leaving_a_stream_stops_the_generation(tmp_path: Path) -> None:
    async with adapter(tmp_path) as local:
        async with aclosing(local.stream([{"role": "user", "content": "slow"}], OPTIONS)) as parts:
            assert await anext(parts) == TextDelta("word ")
        assert (await ask(local)).answer == "hola"  # it would wait for ever for its turn
        assert loads(tmp_path) == ["language"]


async def test_memory_is_given_back_after_idling_and_the_next_question_loads_again(tmp_path: Path) -> None:
    async with adapter(tmp_path, idle_s=0.3) as local:
        await ask(local)
        first = running_pid(local)
        await until(lambda: local.pid is None and is_gone(first), "the process has ended")
        assert (await ask(local)).answer == "hola"
        assert running_pid(local) != first
    assert loads(tmp_path) == ["language", "language"]


async def test_a_process_with_work_is_not_idle(tmp_path: Path) -> None:
    async with adapter(tmp_path, idle_s=0.1) as local:
        task = await begin(local, "slow")
        pid = running_pid(local)
        await asyncio.sleep(1)  # several looks of the watch
        assert local.pid == pid
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("how", ["killed", "crashed"])
async def test_a_process_that_ends_fails_its_questions_and_the_next_one_starts_another(
    tmp_path: Path, how: str
) -> None:
    async with adapter(tmp_path) as local:
        under_way = await begin(local, "slow")
        waiting = asyncio.create_task(ask(local, "crash"))
        await asyncio.sleep(0)
        pid = running_pid(local)
        if how == "killed":
            psutil.Process(pid).kill()
        else:
            under_way.cancel()  # then it is the turn of the one that crashes
        for task in (under_way, waiting) if how == "killed" else (waiting,):
            with pytest.raises(TechnicalError) as caught:
                await task
            assert caught.value.reason == "local_failed"
        assert (await ask(local)).answer == "hola"
        assert running_pid(local) != pid


async def test_a_process_that_hangs_is_killed_and_replaced(tmp_path: Path) -> None:
    async with adapter(tmp_path, stall_timeout_s=2.0) as local:
        task = await begin(local, "slow")
        pid = running_pid(local)
        psutil.Process(pid).suspend()
        with pytest.raises(TechnicalError) as caught:
            await task
        assert caught.value.reason == "local_failed"
        assert (await ask(local)).answer == "hola"
        await until(lambda: is_gone(pid), "the hanging process is gone")


async def test_a_job_that_does_not_stop_costs_its_caller_the_timeout_and_then_the_process(tmp_path: Path) -> None:
    async with adapter(tmp_path, cancel_grace_s=0.3) as local:
        await ask(local)
        local.config = LocalModelConfig(timeout_s=0.5)
        pid = running_pid(local)
        with pytest.raises(TechnicalError) as caught:
            await ask(local, "hang")
        assert caught.value.reason == "timeout"
        await until(lambda: is_gone(pid), "the process is given up")
        local.config = LocalModelConfig(timeout_s=60)
        assert (await ask(local)).answer == "hola"


async def test_a_model_whose_loading_ends_the_process_is_left_alone_for_a_while(tmp_path: Path) -> None:
    async with adapter(tmp_path, model="crashes", reload_after_s=600) as local:
        for _ in range(2):
            with pytest.raises(TechnicalError):
                await ask(local)
        with pytest.raises(TechnicalError) as caught:
            await ask(local)
        assert caught.value.reason == "local_unavailable"
        assert loads(tmp_path) == ["language"] * 2
        # The other model is not to blame.
        assert (await local.embed_texts(["hola"])).fingerprint == "stand-in"


async def test_a_model_that_cannot_be_loaded_is_not_tried_again_at_once(tmp_path: Path) -> None:
    async with adapter(tmp_path, model="fails", reload_after_s=600) as local:
        for _ in range(3):
            with pytest.raises(TechnicalError, match="its files are gone") as caught:
                await ask(local)
            assert caught.value.reason == "local_unavailable"
    assert loads(tmp_path) == ["language"]


async def test_a_process_that_cannot_be_started_is_a_technical_error(tmp_path: Path) -> None:
    local = HuggingFaceAdapter(LocalModelConfig(), (str(tmp_path / "no such program"),))
    with pytest.raises(TechnicalError):
        await ask(local)
    await local.close()


async def test_refusals_keep_their_kind_across_the_pipe(tmp_path: Path) -> None:
    async with adapter(tmp_path) as local:
        with pytest.raises(LogicalError, match="9 tokens") as caught:
            await ask(local, "too long")
        assert (caught.value.status, caught.value.error_type) == (400, "context_length_exceeded")


async def test_what_a_library_prints_does_not_disturb(tmp_path: Path) -> None:
    async with adapter(tmp_path) as local:
        assert (await ask(local, "noise")).answer == "noise"


async def test_the_fingerprint_is_told_without_loading_a_model(tmp_path: Path) -> None:
    async with adapter(tmp_path, idle_s=0.2) as local:
        assert await local.tell_fingerprint() == "stand-in"
        await until(lambda: local.pid is None, "the process is released")
        assert await local.tell_fingerprint() == "stand-in"
        assert local.pid is None  # asking again needs no process
    assert loads(tmp_path) == []


async def test_closing_ends_a_process_that_is_busy_and_fails_its_question(tmp_path: Path) -> None:
    async with adapter(tmp_path) as local:
        task = await begin(local, "hang")
        pid = running_pid(local)
    assert is_gone(pid)
    with pytest.raises(TechnicalError):
        await task
    with pytest.raises(TechnicalError):
        await ask(local)


PARENT = """
import asyncio, pathlib, sys
from adapters.base import SamplingOptions
from adapters.huggingface_adapter import HuggingFaceAdapter
from adapters.local_config import LocalModelConfig

async def main():
    config = LocalModelConfig(model="any", unpacked_cache=pathlib.Path(sys.argv[1]))
    local = HuggingFaceAdapter(config, (sys.executable, "-m", "tests.local_stand_in"))
    async for part in local.stream([{"role": "user", "content": "hang"}], SamplingOptions()):
        print(local.pid, flush=True)

asyncio.run(main())
"""


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """A process whose local model computes something that never ends, and the model's process id."""
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)],
        cwd=BACKEND_ROOT,
        env={**os.environ, "ENV_FILES": "none"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())
        process.kill()


async def test_no_process_outlives_a_parent_that_is_killed(parent: tuple["subprocess.Popen[str]", int]) -> None:
    process, child = parent
    assert not is_gone(child)
    process.kill()
    await until(lambda: is_gone(child), "the models' process has ended too")


@pytest.mark.skipif(sys.platform == "win32", reason="sends the console's signal as POSIX does")
async def test_the_consoles_ctrl_c_ends_both_and_the_models_say_nothing(
    parent: tuple["subprocess.Popen[str]", int],
) -> None:
    process, child = parent
    os.killpg(process.pid, signal.SIGINT)
    os.kill(child, signal.SIGINT)  # were it in the same group
    await until(lambda: is_gone(child) and process.poll() is not None, "both have ended")
    assert process.stderr is not None
    # The parent's own complaint is that of a bare asyncio.run; a second one would be the child's.
    assert process.stderr.read().count("KeyboardInterrupt\n") == 1
