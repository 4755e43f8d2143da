"""Figures with their targets: as a table to read, and as JSON to compare."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

_SIGNS = {">=": "≥", "<=": "≤", "<": "<"}


@dataclass(frozen=True)
class Figure:
    """One measured value and what it should be."""

    name: str
    value: float
    unit: str
    relation: Literal[">=", "<=", "<"]
    target: float

    @property
    def reached(self) -> bool:
        """Whether the value is as it should be."""
        if self.relation == ">=":
            return self.value >= self.target
        return self.value <= self.target if self.relation == "<=" else self.value < self.target


def print_figures(figures: Sequence[Figure]) -> None:
    """Print a table of figures, targets and whether they are reached."""
    print(f"\n{'figure':<44} {'measured':>10} {'target':>12}")
    for figure in figures:
        target = f"{_SIGNS[figure.relation]} {figure.target:g} {figure.unit}"
        print(f"{figure.name:<44} {figure.value:>10.5g} {target:>12}  {'reached' if figure.reached else 'MISSED'}")


def print_summary(bench: str, figures: Sequence[Figure], details: Mapping[str, object]) -> None:
    """Print everything as one line of JSON; it has to be the last line of a benchmark's output."""
    summary = {
        "bench": bench,
        "figures": {
            figure.name: {
                "value": round(figure.value, 6),
                "unit": figure.unit,
                "relation": figure.relation,
                "target": figure.target,
                "reached": figure.reached,
            }
            for figure in figures
        },
        "all_reached": all(figure.reached for figure in figures),
        **details,
    }
    print(json.dumps(summary, ensure_ascii=False))
