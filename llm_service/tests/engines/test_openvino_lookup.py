"""When is an answer generated with prompt lookup?"""

from typing import cast

import pytest

from engines.openvino_lane import Answer, Lane
from engines.openvino_lookup import PromptLookup
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


def test_requests_that_come_one_at_a_time_are_looked_up(lookup: PromptLookup) -> None:
    lookup.lane_for(chat("first", "quote"), others=0)
    assert lookup.lane_for(chat("next", "quote"), others=0) is LANE
    assert lookup.lane_for(chat("after that", "quote"), others=0) is LANE


def test_a_request_beside_others_is_not(lookup: PromptLookup) -> None:
    lookup.lane_for(chat("first", "quote"), others=0)
    assert lookup.lane_for(chat("next", "quote"), others=1) is None


def test_the_first_of_another_burst_is_not(lookup: PromptLookup) -> None:
    for others in (0, 1, 2, 2):
        lookup.lane_for(chat("burst", "quote"), others)
    assert lookup.lane_for(chat("first of the next", "quote"), others=0) is None


def test_a_request_with_a_schema_is_not(lookup: PromptLookup) -> None:
    lookup.lane_for(chat("first", "quote"), others=0)
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
