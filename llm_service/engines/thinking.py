"""How models mark what they think before they answer (Qwen3, DeepSeek-R1 and their kin)."""

from collections.abc import Callable, Sequence

THOUGHT_BEGINS = "<think>"
THOUGHT_ENDS = "</think>"
TAIL_TOKENS = 8


def begins_inside_thought(prompt_ids: Sequence[int], decode: Callable[[list[int]], str]) -> bool:
    """Whether the chat template has opened the thought itself, so that the model's text lacks the tag.

    Read off the prompt of the very request: some templates do so always, some only when asked to.
    """
    return decode(list(prompt_ids[-TAIL_TOKENS:])).rstrip().endswith(THOUGHT_BEGINS)
