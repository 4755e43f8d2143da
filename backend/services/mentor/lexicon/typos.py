"""Comparison of words that differ by one typo."""

from services.mentor.lexicon.fields import NEAR_MIN_CHARS


def one_typo_apart(left: str, right: str) -> bool:
    """Return whether the words differ by one insertion, deletion, replacement or swap of neighbours.

    Always false for words that are too short for ``near_codes``.
    """
    if left == right or abs(len(left) - len(right)) > 1 or min(len(left), len(right)) < NEAR_MIN_CHARS:
        return False
    if len(left) > len(right):
        left, right = right, left
    start = 0
    while start < len(left) and left[start] == right[start]:
        start += 1
    rest, other = left[start:], right[start:]
    if len(left) + 1 == len(right):
        return rest == other[1:]
    swapped = len(rest) > 1 and rest[0] == other[1] and rest[1] == other[0] and rest[2:] == other[2:]
    return len(left) == len(right) and (rest[1:] == other[1:] or swapped)
