from typing import Any

import pytest

from config.settings import Settings
from services.decoding import Decoding, choose_decoding
from services.errors import InvalidRequest

WISHES: dict[str, Any] = {"temperature": None, "top_p": None, "enable_thinking": None, "constrained": False}


def settings(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[call-arg]


def choose(config: Settings | None = None, **wishes: Any) -> Decoding:
    return choose_decoding(config or settings(), **(WISHES | wishes))


def test_what_is_left_out_comes_from_the_settings() -> None:
    assert choose(settings(llm_temperature=0.3, llm_top_p=0.7)) == Decoding(0.3, 0.7, enable_thinking=False)


def test_zero_is_a_wish_of_its_own() -> None:
    assert choose(temperature=0.0, top_p=0.0)[:2] == (0.0, 0.0)


@pytest.mark.parametrize(
    ("wishes", "field"),
    [
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": 1e-46}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"constrained": True}, "enable_thinking"),
    ],
)
def test_thinking_is_refused_where_it_cannot_be(wishes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        choose(enable_thinking=True, **wishes)
    assert refusal.value.field == field


@pytest.mark.parametrize("wishes", [{"temperature": 0.0}, {"top_p": 0.0}, {"constrained": True}])
def test_thinking_that_only_the_settings_want_gives_way(wishes: dict[str, Any]) -> None:
    assert choose(settings(llm_enable_thinking=True)).enable_thinking
    assert not choose(settings(llm_enable_thinking=True), **wishes).enable_thinking


def test_thinking_has_the_recommended_sampling_where_the_default_is_greedy() -> None:
    greedy = settings(llm_temperature=0)
    assert choose(greedy, enable_thinking=True) == Decoding(0.6, 0.95, enable_thinking=True)
    assert choose(greedy, enable_thinking=True, top_p=0.5) == Decoding(0.6, 0.5, enable_thinking=True)
    assert choose(greedy, enable_thinking=True, temperature=0.7)[:2] == (0.7, greedy.llm_top_p)
    assert choose(greedy).temperature == 0.0


def test_a_default_that_samples_is_kept_for_thinking() -> None:
    assert choose(settings(llm_temperature=0.8, llm_top_p=0.6), enable_thinking=True)[:2] == (0.8, 0.6)


def test_a_request_can_turn_off_what_the_settings_turn_on() -> None:
    assert not choose(settings(llm_enable_thinking=True), enable_thinking=False).enable_thinking
