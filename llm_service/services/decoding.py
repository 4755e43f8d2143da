"""How a request is decoded when some of its wishes are left to the settings."""

from typing import NamedTuple

from config.settings import Settings
from services.errors import InvalidRequest

THINKING_TEMPERATURE, THINKING_TOP_P = 0.6, 0.95
"""What Qwen3's model card recommends for thinking; greedy decoding, it says, repeats without end."""


class Decoding(NamedTuple):
    """What is sent to the engine."""

    temperature: float
    top_p: float
    enable_thinking: bool


def choose_decoding(
    config: Settings,
    *,
    temperature: float | None,
    top_p: float | None,
    enable_thinking: bool | None,
    json_schema: str | None,
) -> Decoding:
    """Fill in what a request left out (``None``); every API goes through here.

    A model must not think while it decodes greedily, and cannot while a schema binds its text. Asking
    for both at once raises ``InvalidRequest``, its message beginning with the field at fault; where
    only the settings want the thought, it is left out.
    """
    if enable_thinking:
        _check_thinking(temperature, top_p, json_schema)
    greedy = temperature == 0 or top_p == 0
    thinking = config.llm_enable_thinking and not greedy and json_schema is None
    if enable_thinking is not None:
        thinking = enable_thinking
    default_temperature, default_top_p = config.llm_temperature, config.llm_top_p
    if thinking and temperature is None and default_temperature == 0:
        default_temperature, default_top_p = THINKING_TEMPERATURE, THINKING_TOP_P
    return Decoding(
        default_temperature if temperature is None else temperature,
        default_top_p if top_p is None else top_p,
        thinking,
    )


def _check_thinking(temperature: float | None, top_p: float | None, json_schema: str | None) -> None:
    for name, value in (("temperature", temperature), ("top_p", top_p)):
        if value == 0:
            raise InvalidRequest(f"{name}: 0 is greedy, but thinking needs sampling: leave it out or raise it")
    if json_schema is not None:
        raise InvalidRequest(
            "enable_thinking: a response_format binds the text from its first word on, a thought has no room in it"
        )
