"""When is an answer generated with prompt lookup?"""

from typing import cast

import pytest

from engines.openvino_lane import Answer, Lane
from engines.openvino_lookup import QUIET_S, PromptLookup
from engines.openvino_second_lane import SecondLane
from engines.text_assembly import TextAssembler
from tests.engines.driving import chat

LANE = cast(Lane, object())
PROMPT = list(range(100))


@pytest.fixture
def lookup() -> PromptLookup:
    """A prompt lookup that has seen an answer that repeats its prompt, its pipeline open."""
    second = SecondLane(lambda: LANE, needed_bytes=0, purpose="a test")
    second.open()
    second.wait()
    lookup = PromptLookup(second)
    text = TextAssembler(lambda _: "")
    text.add(PROMPT[:40])
    lookup.observe(Answer(chat("seen", "quote"), PROMPT, text, 40, inside_thought=False))
    return lookup


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set by the test."""
    now = [1000.0]
    monkeypatch.setattr("engines.openvino_lookup.time.monotonic", lambda: now[0])
    return now


def test_requests_that_come_one_at_a_time_are_looked_up(lookup: PromptLookup) -> None:
    assert lookup.lane_for(chat("next", "quote"), others=0) is LANE


def test_a_request_beside_others_is_not(lookup: PromptLookup) -> None:
    assert lookup.lane_for(chat("next", "quote"), others=1) is None


def test_after_a_burst_some_quiet_is_waited_for(lookup: PromptLookup, clock: list[float]) -> None:
    lookup.lane_for(chat("burst", "quote"), others=3)
    clock[0] += QUIET_S
    assert lookup.lane_for(chat("next", "quote"), others=0) is None
    clock[0] += 0.1
    assert lookup.lane_for(chat("later", "quote"), others=0) is LANE


def test_a_request_with_a_schema_is_not(lookup: PromptLookup) -> None:
    assert lookup.lane_for(chat("next", "quote", json_schema="{}"), others=0) is None


def test_where_opening_fails_there_is_no_second_pipeline() -> None:
    def fail() -> Lane:
        raise RuntimeError("no such model")

    second = SecondLane(fail, needed_bytes=0, purpose="a test")
    second.open()
    second.wait()
    assert second.lane is None
    assert second.unavailable


def test_where_the_memory_is_not_there_nothing_is_opened() -> None:
    opened: list[int] = []

    def open_lane() -> Lane:
        opened.append(1)
        return LANE

    second = SecondLane(open_lane, needed_bytes=10**15, purpose="a test")
    second.open()
    second.wait()
    assert not opened
    assert second.unavailable


def test_it_is_opened_once() -> None:
    opened: list[int] = []

    def open_lane() -> Lane:
        opened.append(1)
        return LANE

    second = SecondLane(open_lane, needed_bytes=0, purpose="a test")
    for _ in range(3):
        second.open()
    second.wait()
    assert opened == [1]
