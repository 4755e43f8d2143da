"""The adapter while services fail, come back, are busy or hang: real sockets, counted at the other end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest

from adapters.llm_service.config import ServiceConfig
from adapters.llm_service_adapter import LLMServiceAdapter
from adapters.ports.models import ChatMessage, LogicalError, RateLimited, SamplingOptions, TechnicalError, TextDelta
from tests.raw_service import RawService, error_body, http, until

pytestmark = pytest.mark.anyio
MESSAGES: list[ChatMessage] = [{"role": "user", "content": "¿Cómo se dice perro?"}]
OPTIONS = SamplingOptions()
BROKEN = http("500 Internal Server Error", error_body("generation_failed", retryable=False))
RESTARTED = http("503 Service Unavailable", error_body("engine_restarted", retryable=True), "Retry-After: 0")
BUSY = http("503 Service Unavailable", error_body("overloaded", retryable=True), "Retry-After: 0")
LOADING = http("503 Service Unavailable", error_body("model_loading", retryable=True), "Retry-After: 3")
LIMITED = http("429 Too Many Requests", error_body("rate_limited", retryable=True), "Retry-After: 0")

Make = Callable[..., LLMServiceAdapter]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    made: list[LLMServiceAdapter] = []

    def new(*services: RawService, **options: Any) -> LLMServiceAdapter:
        adapter = LLMServiceAdapter(ServiceConfig(urls=tuple(each.url for each in services), **options))
        made.append(adapter)
        return adapter

    yield new
    for adapter in made:
        await adapter.close()


@pytest.fixture
async def service() -> AsyncIterator[RawService]:
    started = await RawService().start()
    yield started
    await started.stop()


@pytest.fixture
async def other() -> AsyncIterator[RawService]:
    started = await RawService().start()
    yield started
    await started.stop()


def states(adapter: LLMServiceAdapter) -> list[str]:
    return [endpoint.circuit.state for endpoint in adapter.endpoints]


async def reason_of(call: Awaitable[Any]) -> str:
    try:
        await call
    except TechnicalError as fault:
        return fault.reason
    return "answered"


async def test_an_open_circuit_opens_no_socket(service: RawService, make: Make) -> None:
    adapter = make(service, failure_threshold=3, reset_s=60)
    service.answer = BROKEN
    for _ in range(3):
        assert await reason_of(adapter.generate(MESSAGES)) == "http_5xx"
    accepted, asked = service.accepted, len(service.requests)
    for _ in range(200):
        assert await reason_of(adapter.generate(MESSAGES)) == "circuit_open"
    assert (service.accepted, len(service.requests)) == (accepted, asked)


async def test_an_open_circuit_tells_when_to_ask_again(service: RawService, make: Make) -> None:
    adapter = make(service, failure_threshold=1, reset_s=60)
    service.answer = BROKEN
    await reason_of(adapter.generate(MESSAGES))
    with pytest.raises(TechnicalError) as caught:
        await adapter.generate(MESSAGES)
    assert caught.value.retry_after_s is not None
    assert 50 < caught.value.retry_after_s <= 60


async def test_a_service_that_is_back_is_used_again_after_one_probe(service: RawService, make: Make) -> None:
    adapter = make(service, failure_threshold=2, reset_s=0.3)
    await service.stop()
    while states(adapter) != ["open"]:
        assert await reason_of(adapter.generate(MESSAGES)) == "connect"
    await service.start()
    service.requests.clear()
    await asyncio.sleep(0.3)
    assert await reason_of(adapter.generate(MESSAGES)) == "answered"
    assert service.requests == ["GET /readyz", "POST /api/llm/generate"]
    assert states(adapter) == ["closed"]


async def test_fifty_callers_of_a_half_open_circuit_send_one_probe(service: RawService, make: Make) -> None:
    adapter = make(service, failure_threshold=1, reset_s=0.2)
    service.answer, healthy = BROKEN, service.answer
    await reason_of(adapter.generate(MESSAGES))
    await asyncio.sleep(0.2)
    service.answer, service.delay_s = healthy, 0.05
    service.requests.clear()
    reasons = await asyncio.gather(*(reason_of(adapter.generate(MESSAGES)) for _ in range(50)))
    assert sorted(reasons) == ["answered"] + ["circuit_open"] * 49
    assert service.posts == 1
    assert service.most_at_once == 1


async def test_a_cancelled_probe_makes_room_for_the_next(service: RawService, make: Make) -> None:
    adapter = make(service, failure_threshold=1, reset_s=0.2)
    service.answer, healthy = BROKEN, service.answer
    await reason_of(adapter.generate(MESSAGES))
    await asyncio.sleep(0.2)
    service.mode = "hang"
    probe = asyncio.create_task(adapter.generate(MESSAGES))
    await asyncio.sleep(0.05)
    assert await reason_of(adapter.generate(MESSAGES)) == "circuit_open"
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    service.mode, service.answer = "answer", healthy
    assert await reason_of(adapter.generate(MESSAGES)) == "answered"


async def test_a_hanging_service_keeps_its_prober_for_a_moment_only(service: RawService, make: Make) -> None:
    adapter = make(service, failure_threshold=1, reset_s=0.1, probe_timeout_s=0.1, timeout_s=600)
    service.answer = BROKEN
    await reason_of(adapter.generate(MESSAGES))
    await asyncio.sleep(0.1)
    service.mode = "hang"
    # Without the probe's own limit this would take the call's ten minutes.
    async with asyncio.timeout(30):
        assert await reason_of(adapter.generate(MESSAGES)) == "timeout"
    assert states(adapter) != ["closed"]


async def test_a_service_that_still_loads_is_not_sent_the_question(service: RawService, make: Make) -> None:
    adapter = make(service, failure_threshold=1, reset_s=2)
    service.answer = BROKEN
    await reason_of(adapter.generate(MESSAGES))
    await asyncio.sleep(2)
    service.ready, posts = LOADING, service.posts
    assert await reason_of(adapter.generate(MESSAGES)) == "loading"
    assert service.posts == posts
    assert await reason_of(adapter.generate(MESSAGES)) == "circuit_open"


@pytest.mark.parametrize("answer", [BROKEN, RESTARTED, BUSY, LIMITED], ids=["500", "restarted", "busy", "429"])
async def test_when_everything_fails_there_are_few_second_tries(
    service: RawService, other: RawService, make: Make, answer: bytes
) -> None:
    adapter = make(service, other, reset_s=0.01)
    service.answer = other.answer = answer
    for _ in range(200):
        assert await reason_of(adapter.generate(MESSAGES)) != "answered"
    assert service.posts + other.posts <= 1.2 * 200


async def test_one_bad_address_of_two_is_left_out_and_nobody_notices(
    service: RawService, other: RawService, make: Make
) -> None:
    adapter = make(service, other, reset_s=60)
    service.answer = BROKEN
    reasons = [await reason_of(adapter.generate(MESSAGES)) for _ in range(60)]
    assert reasons == ["answered"] * 60
    assert service.posts == 3
    assert states(adapter) == ["open", "closed"]


@pytest.mark.parametrize("mode", ["gone", "hang_up"])
async def test_an_address_that_dies_under_load_costs_no_answer(
    service: RawService, other: RawService, make: Make, mode: str
) -> None:
    adapter = make(service, other, reset_s=60)
    service.delay_s = other.delay_s = 0.05
    callers = [asyncio.create_task(reason_of(adapter.generate(MESSAGES))) for _ in range(16)]
    await until(lambda: service.at_once > 0)
    if mode == "gone":
        await service.stop()
    else:
        service.mode = mode
    assert await asyncio.gather(*callers) == ["answered"] * 16


async def test_questions_one_after_the_other_are_answered_in_turns_though_each_has_its_vector_made_first(
    service: RawService, other: RawService, make: Make
) -> None:
    both = b'{"answer": "a", "model": "m", "tokens_generated": 1, "embeddings": [[1.0]], "fingerprint": "f"}'
    service.answer = other.answer = http("200 OK", both, "Content-Type: application/json")
    adapter = make(service, other, dimension=1)
    for _ in range(4):
        await adapter.embed(["perro"])
        await adapter.generate(MESSAGES)
    asked = [each.requests.count("POST /api/llm/generate") for each in (service, other)]
    assert asked == [2, 2]


async def test_the_address_with_fewer_calls_under_way_is_asked(
    service: RawService, other: RawService, make: Make
) -> None:
    adapter = make(service, other)
    service.mode = "hang"
    stuck = asyncio.create_task(adapter.generate(MESSAGES))
    await until(lambda: service.posts + other.posts == 1)
    assert [await reason_of(adapter.generate(MESSAGES)) for _ in range(8)] == ["answered"] * 8
    assert (service.posts, other.posts) == (1, 8)
    stuck.cancel()


async def test_an_address_that_loads_is_not_asked_while_another_is_ready(
    service: RawService, other: RawService, make: Make
) -> None:
    adapter = make(service, other)
    service.answer = LOADING
    assert [await reason_of(adapter.generate(MESSAGES)) for _ in range(10)] == ["answered"] * 10
    assert (service.posts, other.posts) == (1, 10)
    assert states(adapter) == ["closed", "closed"]


@pytest.mark.parametrize("answer", [BUSY, LIMITED], ids=["busy", "429"])
async def test_no_number_of_busy_answers_opens_the_circuit(service: RawService, make: Make, answer: bytes) -> None:
    adapter = make(service)
    service.answer = answer
    for _ in range(20):
        await reason_of(adapter.generate(MESSAGES))
    assert states(adapter) == ["closed"]


async def test_no_number_of_refusals_opens_the_circuit(service: RawService, make: Make) -> None:
    adapter = make(service)
    service.answer = http("400 Bad Request", error_body("context_length_exceeded", retryable=False))
    for _ in range(20):
        with pytest.raises(LogicalError):
            await adapter.generate(MESSAGES)
    assert states(adapter) == ["closed"]
    assert service.posts == 20


async def test_retry_after_is_waited_for_where_the_deadline_allows_it(service: RawService, make: Make) -> None:
    limited = http("429 Too Many Requests", error_body("rate_limited", retryable=True), "Retry-After: 0.2")
    service.answers_first.append(limited)
    began = asyncio.get_running_loop().time()
    assert await reason_of(make(service).generate(MESSAGES)) == "answered"
    assert asyncio.get_running_loop().time() - began >= 0.2
    assert service.posts == 2


async def test_retry_after_past_the_deadline_is_not_waited_for(service: RawService, make: Make) -> None:
    service.answer = http("429 Too Many Requests", error_body("rate_limited", retryable=True), "Retry-After: 4")
    adapter = make(service, timeout_s=3, max_retry_wait_s=600)
    with pytest.raises(RateLimited) as caught:
        await adapter.generate(MESSAGES)
    assert caught.value.retry_after_s == 4
    assert service.posts == 1


async def test_a_silent_service_is_left_after_the_read_limit(service: RawService, make: Make) -> None:
    service.mode = "hang"
    adapter = make(service, timeout_s=600, read_timeout_s=0.1)
    async with asyncio.timeout(30):
        assert await reason_of(adapter.generate(MESSAGES)) == "timeout"


async def test_a_full_pool_is_our_trouble_not_the_services(service: RawService, make: Make) -> None:
    adapter = make(service, max_connections=1, pool_timeout_s=0.05, timeout_s=600)
    service.mode = "hang"
    stuck = asyncio.create_task(adapter.generate(MESSAGES))
    await until(lambda: service.posts > 0)
    for _ in range(5):
        assert await reason_of(adapter.generate(MESSAGES)) == "overloaded"
    assert states(adapter) == ["closed"]
    stuck.cancel()


async def test_a_stream_is_sent_again_before_its_first_token_only(
    service: RawService, other: RawService, make: Make
) -> None:
    adapter = make(service, other)
    service.mode, other.mode = "hang_up", "stream"
    async with aclosing(adapter.stream(MESSAGES, OPTIONS)) as parts:
        assert await anext(parts) == TextDelta("oohi")
    assert (service.posts, other.posts) == (1, 1)

    service.mode = other.mode = "cut"
    async with aclosing(adapter.stream(MESSAGES, OPTIONS)) as parts:
        assert await anext(parts) == TextDelta("oohi")
        assert await reason_of(anext(parts)) == "protocol"
    assert service.posts + other.posts == 3
