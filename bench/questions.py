"""Questions of about 60 tokens that call for long answers. All made up."""

import itertools
from collections.abc import Iterable

TEMPERATURE, TOP_P = 0.7, 0.95

_WHO = ("a fisherman", "an old teacher", "two sisters", "a young painter", "a lighthouse keeper", "a river pilot")
_WHERE = ("in a village by the river", "on a small island", "in the mountains", "at the edge of a great forest")
_WHAT = (
    "learns to build a boat", "looks for a lost song", "keeps a garden through the dry season",
    "teaches children to count the stars", "repairs an old radio", "writes letters to a friend far away",
    "finds a map in a wooden box", "cooks for the whole village", "follows the birds to the lake",
)  # fmt: skip
_ALL = tuple(itertools.product(_WHAT, _WHERE, _WHO))
_numbers = itertools.count(1001)


def questions(count: int, first: int = 0) -> list[str]:
    """Return so many questions in a fixed order; after some hundred they come again."""
    return [
        f"Write the next chapter of a long story about {who} {where} who {what}. Use at least twelve paragraphs. "
        f"Describe the weather, the people, what they eat and what they say to each other, and do not come to an "
        f"end soon."
        for what, where, who in itertools.islice(itertools.cycle(_ALL), first, first + count)
    ]


def numbered(texts: Iterable[str]) -> tuple[str, ...]:
    """Put a number in front of each text that none had before: whoever is asked the same questions
    again finds only the model's own system prompt in a prefix cache.
    """
    return tuple(f"{next(_numbers)}. {text}" for text in texts)
