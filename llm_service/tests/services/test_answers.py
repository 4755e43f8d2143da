import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from engines.errors import GenerationFailed
from engines.fake import FakeGenerator
from engines.requests import ChatMessage, GenerationRequest, SamplingParams
from services.admission import Admission
from services.answering.answers import Answers
from services.answering.response_cache import ResponseCache
from services.counts import Counts
from services.deadline import Deadline
from services.results import GenerationItem, GenerationResult, Started
from tests.services.worker_double import WorkerDouble

pytestmark = pytest.mark.anyio


def request(text: str = "uno dos", request_id: str = "id") -> GenerationRequest:
    sampling = SamplingParams(max_new_tokens=16, temperature=0.0, top_p=0.9)
    return GenerationRequest(request_id, (ChatMessage("user", text),), sampling)


class Caller:
    """``Answers`` over a worker's double."""

    def __init__(self) -> None:
        self.worker = WorkerDouble(FakeGenerator())
        self.answers = Answers(self.worker, Admission(2, 2), ResponseCache(100_000, ttl_s=60), Counts())

    def stream(self, asked: GenerationRequest, **how: Any) -> AsyncGenerator[GenerationItem, None]:
        return self.answers.stream(asked, Deadline(None), **({"use_cache": True, "fresh": False} | how))

    async def ask(self, asked: GenerationRequest, **how: Any) -> tuple[str | None, GenerationResult]:
        async with contextlib.aclosing(self.stream(asked, **how)) as items:
            first, *_, result = [item async for item in items]
        assert isinstance(first, Started)
        assert isinstance(result, GenerationResult)
        return first.cache, result


async def test_what_another_model_answered_is_not_kept_as_this_ones() -> None:
    caller = Caller()
    caller.worker.gate.clear()
    waiting = asyncio.create_task(caller.ask(request()))
    await asyncio.sleep(0.01)
    caller.worker.replace_model("other")
    caller.worker.gate.set()
    assert (await waiting)[0] == "miss"
    caller.worker.info = caller.worker.engine.info
    assert (await caller.ask(request()))[0] == "miss"
    assert (await caller.ask(request()))[0] == "hit"


async def test_a_reading_that_fails_unexpectedly_fails_its_request_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    caller = Caller()
    with monkeypatch.context() as broken:
        broken.setattr(caller.worker.engine, "step", lambda: [1 / 0])
        with pytest.raises(GenerationFailed, match="could not be read"):
            await caller.ask(request())
    assert (await caller.ask(request()))[1].answer


async def test_who_joins_has_timings_of_its_own() -> None:
    caller = Caller()
    caller.worker.gate.clear()
    first = asyncio.create_task(caller.ask(request()))
    await asyncio.sleep(0.05)
    second = asyncio.create_task(caller.ask(request(request_id="second")))
    await asyncio.sleep(0)
    caller.worker.gate.set()
    (_, early), (_, late) = await asyncio.gather(first, second)
    assert len(caller.worker.sent) == 1
    assert early.timings != late.timings
    assert (late.timings.queue_ms, late.cached) == (0.0, False)
