"""Studies: sides × cases × rounds, the figures with targets, and the report at the end."""

import argparse
import json
import math
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

import psutil

from bench.harness.http import MeasuringFailed
from bench.harness.services import Disturbance, Server, end_with_children, machine

T = TypeVar("T")
Metrics = Mapping[str, float]
"""What one side did in one case of one round, by the metric's name."""
Case = Callable[[T], Metrics]
"""Measures one side."""
Relation = Literal[">=", "<=", "<"]
_SIGNS = {">=": "≥", "<=": "≤", "<": "<"}


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
        if self.relation == ">=":
            return self.value >= self.target
        return self.value <= self.target if self.relation == "<=" else self.value < self.target


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

    def __init__(self, sides: Mapping[str, T], watched: Sequence[Server] = ()) -> None:
        self.others_busy: list[float] = []
        self._sides = sides
        self._watched = watched
        self._values: dict[tuple[str, str, str], list[float]] = {}

    def run(self, cases: Mapping[str, Case[T]], rounds: int) -> None:
        """Measure every case on every side, ``rounds`` times; progress goes to standard error."""
        for number in range(rounds):
            disturbance = Disturbance(self._watched)
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
            found.setdefault(case, {}).setdefault(side, {})[metric] = series(values)
        return {"others_busy": self.others_busy, "cases": found}

    def print_tables(self) -> None:
        """Print the medians, a table for each case."""
        rows: dict[str, dict[str, dict[str, object]]] = {}
        for (case, side, metric), values in self._values.items():
            rows.setdefault(case, {}).setdefault(side, {})[metric] = f"{statistics.median(values):.4g}"
        for case, sides in rows.items():
            print_table(case, sides)


def parser(description: str, rounds: int) -> argparse.ArgumentParser:
    """A parser with what all have: ``--quick``, ``--rounds`` and ``--set``."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--quick", action="store_true", help="one round of less: to see that it works")
    made.add_argument("--rounds", type=int, choices=range(1, 101), metavar="N", help=f"rounds (default: {rounds})")
    made.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the service")
    made.set_defaults(full_rounds=rounds)
    return made


def rounds_of(options: argparse.Namespace) -> int:
    """How many rounds were asked for."""
    return int(options.rounds or (1 if options.quick else options.full_rounds))


def settings_of(options: argparse.Namespace) -> dict[str, str]:
    """The settings of the service that were asked for."""
    return dict(setting.split("=", 1) for setting in options.set)


def main(name: str, options: argparse.Namespace, measure: Callable[[], Report]) -> int:
    """Measure and report. The last line on standard output is one JSON object; the exit status says whether the
    measuring worked, not whether the targets are reached.
    """
    end_with_children()
    where = machine()
    note(f"machine: {where}")
    try:
        report = measure()
    except (MeasuringFailed, OSError, psutil.Error) as error:
        note(f"The measuring failed: {error}")
        return 1
    print_figures(report.figures)
    said = {"bench": name, "quick": options.quick, "settings": settings_of(options), "machine": where}
    print(json.dumps({**said, **_summary(report.figures), **report.details}, ensure_ascii=False))
    return 0


def _summary(figures: Sequence[Figure]) -> dict[str, object]:
    listed = {
        figure.name: {
            "value": round(figure.value, 6),
            "target": f"{_SIGNS[figure.relation]} {figure.target:g} {figure.unit}".strip(),
            "reached": figure.reached,
        }
        for figure in figures
    }
    return {"figures": listed, "all_reached": all(figure.reached for figure in figures)}


def print_figures(figures: Sequence[Figure]) -> None:
    """Print a table of figures, targets and whether they are reached."""
    if figures:
        print(f"\n{'figure':<56} {'measured':>10} {'target':>14}")
    for figure in figures:
        target = f"{_SIGNS[figure.relation]} {figure.target:g} {figure.unit}"
        print(f"{figure.name:<56} {figure.value:>10.4g} {target:>14}  {'reached' if figure.reached else 'MISSED'}")


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


def series(values: Sequence[float], digits: int = 4) -> dict[str, object]:
    """The median of the rounds' values and all of them."""
    return {"median": round(statistics.median(values), digits), "rounds": [round(value, digits) for value in values]}
