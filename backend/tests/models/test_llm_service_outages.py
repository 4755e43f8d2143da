"""The adapter while services fail, come back, are busy or hang: real sockets, counted at the other end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest

from adapters.llm_service.config import ServiceConfig
from adapters.llm_service_adapter import LLMServiceAdapter
from adapters.ports.models import ChatMessage, LogicalError, RateLimited, SamplingOptions, TechnicalError, TextDelta
from tests.fake_llm_service import FAULTS, FakeLLMService, as_json, error, until

pytestmark = pytest.mark.anyio
MESSAGES: list[ChatMessage] = [{"role": "user", "content": "¿Cómo se dice perro?"}]
OPTIONS = SamplingOptions()
BROKEN, BUSY = FAULTS["500"], FAULTS["busy"]
RESTARTED = error("503 Service Unavailable", "engine_restarted", "Retry-After: 0", retryable=True)
LOADING = error("503 Service Unavailable", "model_loading", "Retry-After: 3", retryable=True)
LIMITED = error("429 Too Many Requests", "rate_limited", "Retry-After: 0", retryable=True)

Make = Callable[..., LLMServiceAdapter]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    made: list[LLMServiceAdapter] = []

    def new(*services: FakeLLMService, **options: Any) -> LLMServiceAdapter:
        adapter = LLMServiceAdapter(ServiceConfig(urls=tuple(each.url for each in services), **options))
        made.append(adapter)
        return adapter

    yield new
    for adapter in made:
        await adapter.close()


@pytest.fixture
async def service() -> AsyncIterator[FakeLLMService]:
    started = await FakeLLMService().listen()
    yield started
    await started.die()


@pytest.fixture
async def other() -> AsyncIterator[FakeLLMService]:
    started = await FakeLLMService().listen()
    yield started
    await started.die()


def states(adapter: LLMServiceAdapter) -> list[str]:
    return [endpoint.circuit.state for endpoint in adapter.endpoints]


async def reason_of(call: Awaitable[Any]) -> str:
    try:
        await call
    except (TechnicalError, LogicalError) as fault:
        return fault.reason
    return "answered"


async def half_open(service: FakeLLMService, make: Make, reset_s: float = 0.2, **options: Any) -> LLMServiceAdapter:
    """Return an adapter after a fault that opened its circuit; the next call is the probe."""
    adapter = make(service, failure_threshold=1, reset_s=reset_s, **options)
    service.reply = BROKEN
    await reason_of(adapter.generate(MESSAGES))
    await asyncio.sleep(reset_s)
    service.reply = None
    return adapter


async def test_an_open_circuit_opens_no_socket_and_says_when_to_ask_again(service: FakeLLMService, make: Make) -> None:
    adapter = make(service, failure_threshold=3, reset_s=60)
    service.reply = BROKEN
    for _ in range(3):
        assert await reason_of(adapter.generate(MESSAGES)) == "http_5xx"
    accepted, asked = service.accepted, len(service.requests)
    for _ in range(200):
        assert await reason_of(adapter.generate(MESSAGES)) == "circuit_open"
    assert (service.accepted, len(service.requests)) == (accepted, asked)
    with pytest.raises(TechnicalError) as caught:
        await adapter.generate(MESSAGES)
    assert caught.value.retry_after_s is not None
    assert 0 < caught.value.retry_after_s <= 60


async def test_a_service_that_is_back_is_used_again_after_one_probe(service: FakeLLMService, make: Make) -> None:
    adapter = make(service, failure_threshold=2, reset_s=0.3)
    await service.die()
    while states(adapter) != ["open"]:
        assert await reason_of(adapter.generate(MESSAGES)) == "connect"
    await service.listen()
    service.requests.clear()
    await asyncio.sleep(0.3)
    assert await reason_of(adapter.generate(MESSAGES)) == "answered"
    assert service.requests == ["GET /readyz", "POST /api/llm/generate"]
    assert states(adapter) == ["closed"]


async def test_fifty_callers_of_a_half_open_circuit_send_one_probe(service: FakeLLMService, make: Make) -> None:
    adapter = await half_open(service, make)
    service.delay_s = 0.05
    service.requests.clear()
    reasons = await asyncio.gather(*(reason_of(adapter.generate(MESSAGES)) for _ in range(50)))
    assert sorted(reasons) == ["answered"] + ["circuit_open"] * 49
    assert service.posts == 1
    assert service.most_at_once == 1


async def test_a_cancelled_probe_makes_room_for_the_next(service: FakeLLMService, make: Make) -> None:
    adapter = await half_open(service, make)
    service.mode = "hang"
    probe = asyncio.create_task(adapter.generate(MESSAGES))
    await asyncio.sleep(0.05)
    assert await reason_of(adapter.generate(MESSAGES)) == "circuit_open"
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    service.mode = "ok"
    assert await reason_of(adapter.generate(MESSAGES)) == "answered"


async def test_a_hanging_service_keeps_its_prober_for_a_moment_only(service: FakeLLMService, make: Make) -> None:
    adapter = await half_open(service, make, timeout_s=600)
    service.mode = "hang"
    # Without the probe's own limit this would take the call's ten minutes.
    async with asyncio.timeout(30):
        assert await reason_of(adapter.generate(MESSAGES)) == "timeout"
    assert states(adapter) != ["closed"]


async def test_a_service_that_still_loads_is_not_sent_the_question(service: FakeLLMService, make: Make) -> None:
    adapter = await half_open(service, make, reset_s=2)
    service.ready, posts = LOADING, service.posts
    assert await reason_of(adapter.generate(MESSAGES)) == "loading"
    assert service.posts == posts
    assert await reason_of(adapter.generate(MESSAGES)) == "circuit_open"


@pytest.mark.parametrize("answer", [BROKEN, RESTARTED, BUSY, LIMITED], ids=["500", "restarted", "busy", "429"])
async def test_when_everything_fails_there_are_few_second_tries(
    service: FakeLLMService, other: FakeLLMService, make: Make, answer: bytes
) -> None:
    adapter = make(service, other, reset_s=0.01)
    service.reply = other.reply = answer
    for _ in range(200):
        assert await reason_of(adapter.generate(MESSAGES)) != "answered"
    assert service.posts + other.posts <= 1.2 * 200


async def test_one_bad_address_of_two_is_left_out_and_nobody_notices(
    service: FakeLLMService, other: FakeLLMService, make: Make
) -> None:
    adapter = make(service, other, reset_s=60)
    service.reply = BROKEN
    reasons = [await reason_of(adapter.generate(MESSAGES)) for _ in range(60)]
    assert reasons == ["answered"] * 60
    assert service.posts == 3
    assert states(adapter) == ["open", "closed"]


@pytest.mark.parametrize("mode", ["gone", "hang_up"])
async def test_an_address_that_dies_under_load_costs_no_answer(
    service: FakeLLMService, other: FakeLLMService, make: Make, mode: str
) -> None:
    adapter = make(service, other, reset_s=60)
    service.delay_s = other.delay_s = 0.05
    callers = [asyncio.create_task(reason_of(adapter.generate(MESSAGES))) for _ in range(16)]
    await until(lambda: service.at_once > 0)
    if mode == "gone":
        await service.die()
    else:
        service.mode = mode
    assert await asyncio.gather(*callers) == ["answered"] * 16


async def test_questions_one_after_the_other_are_answered_in_turns_though_each_has_its_vector_made_first(
    service: FakeLLMService, other: FakeLLMService, make: Make
) -> None:
    adapter = make(service, other)
    for _ in range(4):
        await adapter.embed(["perro"])
        await adapter.generate(MESSAGES)
    asked = [each.requests.count("POST /api/llm/generate") for each in (service, other)]
    assert asked == [2, 2]


async def test_the_address_with_fewer_calls_under_way_is_asked(
    service: FakeLLMService, other: FakeLLMService, make: Make
) -> None:
    adapter = make(service, other)
    service.mode = "hang"
    stuck = asyncio.create_task(adapter.generate(MESSAGES))
    await until(lambda: service.posts + other.posts == 1)
    assert [await reason_of(adapter.generate(MESSAGES)) for _ in range(8)] == ["answered"] * 8
    assert (service.posts, other.posts) == (1, 8)
    stuck.cancel()


async def test_an_address_that_loads_is_not_asked_while_another_is_ready(
    service: FakeLLMService, other: FakeLLMService, make: Make
) -> None:
    adapter = make(service, other)
    service.reply = LOADING
    assert [await reason_of(adapter.generate(MESSAGES)) for _ in range(10)] == ["answered"] * 10
    assert (service.posts, other.posts) == (1, 10)
    assert states(adapter) == ["closed", "closed"]


@pytest.mark.parametrize("answer", [BUSY, LIMITED, FAULTS["400"]], ids=["busy", "429", "400"])
async def test_no_number_of_refusals_opens_the_circuit(service: FakeLLMService, make: Make, answer: bytes) -> None:
    adapter = make(service)
    service.reply = answer
    for _ in range(20):
        await reason_of(adapter.generate(MESSAGES))
    assert states(adapter) == ["closed"]


async def test_a_ranker_that_loads_does_not_open_the_circuit(service: FakeLLMService, make: Make) -> None:
    adapter = make(service)
    body = {"error": {"message": "x", "type": "server_error", "param": None, "code": "model_loading"}}
    service.reply = as_json(body, "503 Service Unavailable", "Retry-After: 3", "X-Should-Retry: true")
    for _ in range(4):
        assert await reason_of(adapter.rank_texts("perro", ["uno", "dos"])) == "loading"
    assert states(adapter) == ["closed"]


async def test_retry_after_is_waited_for_where_the_deadline_allows_it(service: FakeLLMService, make: Make) -> None:
    limited = error("429 Too Many Requests", "rate_limited", "Retry-After: 0.2", retryable=True)
    service.first_replies.append(limited)
    began = asyncio.get_running_loop().time()
    assert await reason_of(make(service).generate(MESSAGES)) == "answered"
    assert asyncio.get_running_loop().time() - began >= 0.2
    assert service.posts == 2


async def test_retry_after_past_the_deadline_is_not_waited_for(service: FakeLLMService, make: Make) -> None:
    service.reply = error("429 Too Many Requests", "rate_limited", "Retry-After: 4", retryable=True)
    adapter = make(service, timeout_s=3)
    with pytest.raises(RateLimited) as caught:
        await adapter.generate(MESSAGES)
    assert caught.value.retry_after_s == 4
    assert service.posts == 1


async def test_a_silent_service_is_left_after_the_read_limit(service: FakeLLMService, make: Make) -> None:
    service.mode = "hang"
    adapter = make(service, timeout_s=600, read_timeout_s=0.1)
    async with asyncio.timeout(30):
        assert await reason_of(adapter.generate(MESSAGES)) == "timeout"


async def test_a_full_pool_is_our_trouble_not_the_services(service: FakeLLMService, make: Make) -> None:
    adapter = make(service, max_connections=1, pool_timeout_s=0.05, timeout_s=600)
    service.mode = "hang"
    stuck = asyncio.create_task(adapter.generate(MESSAGES))
    await until(lambda: service.posts > 0)
    for _ in range(5):
        assert await reason_of(adapter.generate(MESSAGES)) == "overloaded"
    assert states(adapter) == ["closed"]
    stuck.cancel()


async def test_a_stream_is_sent_again_before_its_first_token_only(
    service: FakeLLMService, other: FakeLLMService, make: Make
) -> None:
    adapter = make(service, other)
    service.mode = "hang_up"
    async with aclosing(adapter.stream(MESSAGES, OPTIONS)) as parts:
        assert await anext(parts) == TextDelta("En ")
    assert (service.posts, other.posts) == (1, 1)

    service.mode = other.mode = "stream_cut"
    async with aclosing(adapter.stream(MESSAGES, OPTIONS)) as parts:
        assert [await anext(parts) for _ in range(2)] == [TextDelta("En "), TextDelta("bora, ")]
        assert await reason_of(anext(parts)) == "protocol"
    assert service.posts + other.posts == 3
