"""Words that differ by one slip of the pen."""

from lexical.fields import NEAR_MIN_CHARS


def one_typo_apart(left: str, right: str) -> bool:
    """Return whether one insertion, deletion, replacement or swap of neighbours makes them equal.

    Also false for words that ``near_codes`` leaves out as too short.
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
