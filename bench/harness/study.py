"""Studies: sides × cases × rounds, figures with targets, tables and statistics."""

import math
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from bench.harness.services import Disturbance

T = TypeVar("T")
Metrics = Mapping[str, float]
"""What one side did in one case of one round, by the metric's name."""
Case = Callable[[T], Metrics]
"""Measures one side."""
Relation = Literal[">=", "<="]


@dataclass(frozen=True)
class Figure:
    """One measured value and its target."""

    name: str
    value: float
    unit: str
    relation: Relation
    target: float

    @property
    def reached(self) -> bool:
        """Whether the value meets the target."""
        return self.value >= self.target if self.relation == ">=" else self.value <= self.target


@dataclass
class Report:
    """The figures that have targets, and everything else that was measured."""

    figures: list[Figure]
    details: dict[str, object] = field(default_factory=dict)


class Study(Generic[T]):
    """Values by case, side and metric, one a round.

    The sides of a case take turns, each round beginning with another one, so that a machine that drifts drifts
    for all; ratios are medians of the rounds' ratios.
    """

    def __init__(self, sides: Mapping[str, T]) -> None:
        self.others_busy: list[float] = []
        self._sides = sides
        self._values: dict[tuple[str, str, str], list[float]] = {}

    def run(self, cases: Mapping[str, Case[T]], rounds: int) -> None:
        """Measure every case on every side, ``rounds`` times; progress goes to standard error."""
        for number in range(rounds):
            disturbance = Disturbance()
            for case, measure in cases.items():
                for name, side in in_turn(list(self._sides.items()), number):
                    found = measure(side)
                    self.add(case, name, found)
                    said = ", ".join(f"{metric} {value:.4g}" for metric, value in found.items())
                    note(f"round {number + 1}, {case}, {name}: {said}")
            self.others_busy.append(disturbance.share())

    def add(self, case: str, side: str, metrics: Metrics) -> None:
        """Note the values of one run."""
        for metric, value in metrics.items():
            self._values.setdefault((case, side, metric), []).append(value)

    def cases(self) -> list[str]:
        """The names of the cases measured so far."""
        return list(dict.fromkeys(case for case, _, _ in self._values))

    def values(self, case: str, side: str, metric: str) -> list[float]:
        """One value a round."""
        return self._values[case, side, metric]

    def median(self, case: str, side: str, metric: str) -> float:
        """The median of the rounds."""
        return statistics.median(self.values(case, side, metric))

    def ratio(self, case: str, side: str, other: str, metric: str) -> float:
        """The median of the rounds' ratios of one side to another."""
        pairs = zip(self.values(case, side, metric), self.values(case, other, metric), strict=True)
        return statistics.median(one / two for one, two in pairs)

    def details(self) -> dict[str, object]:
        """Medians and every round's value, by case and side."""
        found: dict[str, dict[str, dict[str, object]]] = {}
        for (case, side, metric), values in self._values.items():
            found.setdefault(case, {}).setdefault(side, {})[metric] = {
                "median": round(statistics.median(values), 4),
                "rounds": [round(value, 4) for value in values],
            }
        return {"others_busy": self.others_busy, "cases": found}

    def print_tables(self) -> None:
        """Print the medians, a table for each case."""
        rows: dict[str, dict[str, dict[str, object]]] = {}
        for (case, side, metric), values in self._values.items():
            rows.setdefault(case, {}).setdefault(side, {})[metric] = f"{statistics.median(values):.4g}"
        for case, sides in rows.items():
            print_table(case, sides)


def print_table(title: str, rows: Mapping[str, Mapping[str, object]]) -> None:
    """Print rows of named values."""
    print(f"\n{title}")
    for name, values in rows.items():
        print(f"  {name:<34} " + "  ".join(f"{key} {value}" for key, value in values.items()), flush=True)


def note(text: str) -> None:
    """Report progress."""
    print(text, file=sys.stderr, flush=True)


def in_turn(sides: Sequence[T], round_number: int) -> Iterator[T]:
    """All sides, each round beginning with another one."""
    first = round_number % len(sides)
    yield from (*sides[first:], *sides[:first])


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of all values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def share(values: Sequence[bool]) -> float:
    """The share that is true; 1 of nothing."""
    return round(sum(values) / len(values), 3) if values else 1.0


def spread_ms(seconds: Sequence[float]) -> dict[str, float]:
    """Percentiles of durations, in milliseconds."""
    return {
        "n": len(seconds),
        "p50_ms": round(1000 * statistics.median(seconds), 2),
        "p95_ms": round(1000 * percentile(seconds, 0.95), 2),
        "p99_ms": round(1000 * percentile(seconds, 0.99), 2),
        "max_ms": round(1000 * max(seconds), 2),
    }
