"""The threshold of relevance that fits a set of questions, some with an answer in the texts and some without."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Fit:
    """A threshold, and its result on the questions."""

    threshold: float
    answered: float
    """Share of the questions with an answer that are answered."""
    unknown: float
    """Share of the questions without an answer of which that is said."""


def outcome(scores: Sequence[tuple[float, bool]], threshold: float) -> Fit:
    """Return the result of ``threshold`` on relevances, each with whether its question has an answer."""
    having = [score >= threshold for score, has_answer in scores if has_answer]
    lacking = [score < threshold for score, has_answer in scores if not has_answer]
    return Fit(threshold, _mean(having), _mean(lacking))


def fitted(scores: Sequence[tuple[float, bool]]) -> Fit:
    """Return the threshold with the highest mean of both shares, in the middle of its gap between relevances."""
    values = sorted({0.0, 1.0, *(score for score, _ in scores)})
    middles = [round((low + high) / 2, 4) for low, high in pairwise(values)]
    # The lowest of equal thresholds: a superfluous answer shows its source, a missing one is a loss.
    return max(
        (outcome(scores, value) for value in middles), key=lambda fit: (fit.answered + fit.unknown, -fit.threshold)
    )


def _mean(values: Sequence[bool]) -> float:
    return sum(values) / len(values) if values else 1.0
