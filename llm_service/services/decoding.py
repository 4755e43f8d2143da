"""Sampling parameters of a request, with defaults from the settings."""

from typing import NamedTuple

from config.settings import Settings
from engines.requests import is_greedy
from services.errors import InvalidRequest

THINKING_TEMPERATURE, THINKING_TOP_P = 0.6, 0.95
"""Recommended for thinking by Qwen3's model card, which warns of endless repetition under greedy decoding."""


class Decoding(NamedTuple):
    """Parameters for the engine."""

    temperature: float
    top_p: float
    enable_thinking: bool


def choose_decoding(
    config: Settings,
    *,
    temperature: float | None,
    top_p: float | None,
    enable_thinking: bool | None,
    constrained: bool,
    thinking_field: str = "enable_thinking",
) -> Decoding:
    """Return the parameters of a request, with defaults for omitted ones (``None``).

    Thinking is incompatible with greedy decoding and with a text that is ``constrained`` from its first word on. Raises
    ``InvalidRequest``, naming the field, if the request asks for both; if only the settings enable thinking, it is
    disabled.
    """
    greedy = [
        field
        for field, chosen in (
            ("temperature", temperature is not None and is_greedy(temperature, 1.0)),
            ("top_p", top_p is not None and is_greedy(1.0, top_p)),
        )
        if chosen
    ]
    if enable_thinking and greedy:
        raise InvalidRequest("greedy decoding cannot be combined with thinking: omit it or raise it", field=greedy[0])
    if enable_thinking and constrained:
        raise InvalidRequest(
            "cannot be combined with response_format, a required tool or a continued answer", field=thinking_field
        )
    thinking = config.llm_enable_thinking and not greedy and not constrained
    if enable_thinking is not None:
        thinking = enable_thinking
    defaults = config.llm_temperature, config.llm_top_p
    if thinking and temperature is None and config.llm_temperature == 0:
        defaults = THINKING_TEMPERATURE, THINKING_TOP_P
    return Decoding(
        defaults[0] if temperature is None else temperature, defaults[1] if top_p is None else top_p, thinking
    )
