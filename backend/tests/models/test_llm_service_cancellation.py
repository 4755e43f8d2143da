"""Callers that leave, at every moment of a call: the breaker and the connections are as before."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial
from typing import Any

import pytest

from adapters.llm_service.config import ServiceConfig
from adapters.llm_service_adapter import LLMServiceAdapter
from adapters.ports.models import ChatMessage, SamplingOptions
from tests.fake_llm_service import FakeLLMService, until

pytestmark = pytest.mark.anyio
MESSAGES: list[ChatMessage] = [{"role": "user", "content": "¿Cómo se dice perro?"}]
PLACES = 4


@pytest.fixture
async def service() -> AsyncIterator[FakeLLMService]:
    started = await FakeLLMService().listen()
    yield started
    await started.die()


@pytest.fixture
async def adapter(service: FakeLLMService) -> AsyncIterator[LLMServiceAdapter]:
    made = LLMServiceAdapter(ServiceConfig(urls=(service.url,), timeout_s=30, max_connections=PLACES))
    yield made
    await made.close()


def _has_been_asked(service: FakeLLMService, times: int) -> bool:
    return service.posts >= times


async def leave(*callers: "asyncio.Task[Any]") -> None:
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)


async def check_every_place_is_free(adapter: LLMServiceAdapter, service: FakeLLMService) -> None:
    """As many calls as there are places are under way at the same time, and the next one is answered."""
    await until(lambda: service.at_once == 0)
    service.mode = "hang"
    callers = [asyncio.create_task(adapter.generate(MESSAGES)) for _ in range(PLACES)]
    await until(lambda: service.at_once == PLACES)
    await leave(*callers)
    service.mode = "ok"
    await adapter.generate(MESSAGES)
    (endpoint,) = adapter.endpoints
    assert (endpoint.circuit.state, endpoint.circuit.failures, endpoint.under_way) == ("closed", 0, 0)


async def test_a_hundred_cancelled_calls_change_nothing(adapter: LLMServiceAdapter, service: FakeLLMService) -> None:
    service.mode = "hang"
    for _ in range(100 // PLACES):
        wanted = service.posts + PLACES
        callers = [asyncio.create_task(adapter.generate(MESSAGES)) for _ in range(PLACES)]
        await until(partial(_has_been_asked, service, wanted))
        await leave(*callers)
    assert service.posts == 100
    await until(lambda: service.open_connections == 0)
    await check_every_place_is_free(adapter, service)


async def test_five_hundred_callers_that_leave_while_connecting_change_nothing(
    adapter: LLMServiceAdapter, service: FakeLLMService
) -> None:
    for number in range(500):
        caller = asyncio.create_task(adapter.generate(MESSAGES))
        for _ in range(number % 10):
            await asyncio.sleep(0)
        await leave(caller)
    await check_every_place_is_free(adapter, service)


async def test_callers_that_leave_a_full_queue_take_no_place_with_them(
    adapter: LLMServiceAdapter, service: FakeLLMService
) -> None:
    # With httpx 0.28 and httpcore 1.0.9 this loses every place within a few rounds.
    chance = random.Random(7)
    service.delay_s = 0.002
    for _ in range(150):
        callers = [asyncio.create_task(adapter.generate(MESSAGES)) for _ in range(3 * PLACES)]
        for _ in range(chance.randrange(30)):
            await asyncio.sleep(0)
        for caller in callers:
            caller.cancel()
        await asyncio.sleep(0)
        await leave(*callers)
    await check_every_place_is_free(adapter, service)


async def test_streams_that_are_left_hang_up_and_change_nothing(
    adapter: LLMServiceAdapter, service: FakeLLMService
) -> None:
    service.mode = "stream_stall"
    for _ in range(25):
        async with aclosing(adapter.stream(MESSAGES, SamplingOptions())) as parts:
            await anext(parts)
    await until(lambda: service.open_connections == 0)
    await check_every_place_is_free(adapter, service)
