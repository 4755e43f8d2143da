"""Tags around thoughts (Qwen3, DeepSeek-R1 and related models)."""

from collections.abc import Callable, Sequence

from engines.requests import GenerationRequest

THOUGHT_BEGINS = "<think>"
THOUGHT_ENDS = "</think>"
TAIL_TOKENS = 8
CLOSING = f"\n{THOUGHT_ENDS}\n\n"
"""Text that closes a thought at its budget."""


def begins_inside_thought(prompt_ids: Sequence[int], decode: Callable[[list[int]], str]) -> bool:
    """Whether the chat template has opened the thought itself, so that the model's text lacks the tag.

    Read off the prompt of the very request: some templates do so always, some only when asked to.
    """
    return decode(list(prompt_ids[-TAIL_TOKENS:])).rstrip().endswith(THOUGHT_BEGINS)


def budget_of(request: GenerationRequest, max_new_tokens: int) -> int | None:
    """Return after how many tokens a thought is closed: a quarter of all is kept for the answer. ``None`` without
    thinking.
    """
    if not request.enable_thinking:
        return None
    most = max(1, 3 * max_new_tokens // 4)
    return most if request.thinking_budget is None else min(most, request.thinking_budget)


def is_open(text: str, *, inside_thought: bool) -> bool:
    """Whether a text ends inside its leading thought."""
    return (inside_thought or text.lstrip().startswith(THOUGHT_BEGINS)) and THOUGHT_ENDS not in text
