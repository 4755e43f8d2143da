from typing import Any

import pytest

from config.settings import Settings
from services.decoding import Decoding, choose_decoding

WISHES: dict[str, Any] = {"temperature": None, "top_p": None, "enable_thinking": None, "constrained": False}


def settings(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[call-arg]


def choose(config: Settings | None = None, **wishes: Any) -> Decoding:
    return choose_decoding(config or settings(), **(WISHES | wishes))


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
