"""The adapter against a real server on a real port."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from adapters.llm_service.config import ServiceConfig
from adapters.llm_service_adapter import LLMServiceAdapter, get_llm_service_adapter
from adapters.ports.models import ChatMessage, Completion, LogicalError, SamplingOptions, TechnicalError, TextDelta
from tests.fake_llm_service import FakeLLMService, http

pytestmark = pytest.mark.anyio
MESSAGES: list[ChatMessage] = [{"role": "user", "content": "¿Cómo se dice perro?"}]


@pytest.fixture
async def adapter(service: FakeLLMService) -> AsyncIterator[LLMServiceAdapter]:
    made = LLMServiceAdapter(ServiceConfig(urls=(service.url,), timeout_s=5))
    yield made
    await made.close()


async def collect(adapter: LLMServiceAdapter) -> list[TextDelta | Completion]:
    async with aclosing(adapter.stream(MESSAGES, SamplingOptions())) as parts:
        return [part async for part in parts]


async def test_what_is_not_set_is_not_sent_and_zero_is(adapter: LLMServiceAdapter, service: FakeLLMService) -> None:
    await adapter.generate(MESSAGES, temperature=0.0)
    assert service.calls[0]["body"] == {"messages": MESSAGES, "temperature": 0.0}


async def test_request_id_time_limit_and_key_travel_along(service: FakeLLMService) -> None:
    adapter = LLMServiceAdapter(ServiceConfig(urls=(service.url,), timeout_s=5, api_key="s3cret"))
    await adapter.complete(MESSAGES, SamplingOptions(), request_id="abc-1")
    await adapter.close()
    headers = service.calls[0]["headers"]
    assert headers["x-request-id"] == "abc-1"
    assert headers["authorization"] == "Bearer s3cret"
    assert 0 < int(headers["x-request-timeout-ms"]) <= 5000


@pytest.mark.parametrize("mode", ["html", "garbage", "fields", "302", "cut_body"])
async def test_a_malformed_answer_is_a_protocol_error(
    adapter: LLMServiceAdapter, service: FakeLLMService, mode: str
) -> None:
    service.mode = mode
    with pytest.raises(TechnicalError) as caught:
        await adapter.complete(MESSAGES, SamplingOptions())
    assert caught.value.reason == "protocol"


@pytest.mark.parametrize("mode", ["html", "garbage", "fields", "short_vectors"])
async def test_malformed_vectors_are_a_protocol_error(
    adapter: LLMServiceAdapter, service: FakeLLMService, mode: str
) -> None:
    service.mode = mode
    with pytest.raises(TechnicalError) as caught:
        await adapter.embed(["hola"])
    assert caught.value.reason == "protocol"


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("500", "http_5xx"),
        ("429", "rate_limited"),
        ("busy_long", "overloaded"),
        ("400", "refused"),
        ("401", "unauthorized"),
    ],
)
async def test_what_a_second_try_does_not_change_is_raised_at_once(
    adapter: LLMServiceAdapter, service: FakeLLMService, mode: str, reason: str
) -> None:
    service.mode = mode
    with pytest.raises((TechnicalError, LogicalError)) as caught:
        await adapter.generate(MESSAGES)
    assert isinstance(caught.value, TechnicalError | LogicalError)
    assert caught.value.reason == reason
    assert len(service.calls) == 1


async def test_a_retryable_503_is_tried_again_and_not_for_ever(
    adapter: LLMServiceAdapter, service: FakeLLMService
) -> None:
    service.mode, service.faults_left = "busy", 1
    assert await adapter.generate(MESSAGES) == service.answer
    service.faults_left = None
    service.calls.clear()
    with pytest.raises(TechnicalError):
        await adapter.generate(MESSAGES)
    assert len(service.calls) == 3


async def test_a_disabled_service_is_never_asked(service: FakeLLMService) -> None:
    adapter = LLMServiceAdapter(ServiceConfig(urls=(service.url,), enabled=False))
    with pytest.raises(TechnicalError) as caught:
        await adapter.generate(MESSAGES)
    await adapter.close()
    assert caught.value.reason == "disabled"
    assert service.calls == []


async def test_a_stream_gives_deltas_and_then_the_whole_answer(
    adapter: LLMServiceAdapter, service: FakeLLMService
) -> None:
    service.answer = "ñandú \u2028 oohííbye"
    parts = await collect(adapter)
    assert "".join(part.text for part in parts if isinstance(part, TextDelta)).strip() == service.answer
    assert isinstance(parts[-1], Completion)
    assert parts[-1].answer == service.answer
    assert parts[-1].timings["tokens_per_second"] == 100.0


async def test_a_thought_in_a_stream_is_no_part_of_the_answer(
    adapter: LLMServiceAdapter, service: FakeLLMService
) -> None:
    events = ({"reasoning_delta": "Hm."}, {"delta": "sol"}, {"answer": "sol", "model": "m"})
    sent = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    service.reply = http("200 OK", sent.encode(), "Content-Type: text/event-stream")
    assert await collect(adapter) == [TextDelta("sol"), Completion("sol", "m", "llm_service")]


async def test_a_stream_that_stalls_is_a_timeout(service: FakeLLMService) -> None:
    adapter = LLMServiceAdapter(ServiceConfig(urls=(service.url,), timeout_s=0.3))
    service.mode = "stream_stall"
    with pytest.raises(TechnicalError) as caught:
        await collect(adapter)
    await adapter.close()
    assert caught.value.reason == "timeout"


async def test_health_check_never_raises() -> None:
    service = FakeLLMService().start()
    adapter = LLMServiceAdapter(ServiceConfig(urls=(service.url,), timeout_s=5))
    assert (await adapter.health_check())["status"] == "healthy"
    service.mode = "401"
    assert await adapter.health_check() == {"status": "unreachable", "error": "the service answers: unauthorized"}
    service.stop()
    health: dict[str, Any] = await adapter.health_check()
    await adapter.close()
    assert health["status"] == "unreachable"
    assert health["error"]


async def test_a_service_on_its_reserve_model_makes_answers_degraded(
    adapter: LLMServiceAdapter, service: FakeLLMService
) -> None:
    assert not (await adapter.complete(MESSAGES, SamplingOptions())).degraded
    service.degraded = True
    assert (await adapter.complete(MESSAGES, SamplingOptions())).degraded
    assert set(service.paths()) == {"generate"}, "the answer says so itself"


def test_the_adapter_of_the_process_is_one() -> None:
    assert get_llm_service_adapter() is get_llm_service_adapter()
