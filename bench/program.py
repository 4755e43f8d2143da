"""What the benchmarks have in common: progress, rounds in which the sides take turns, the report at the end."""

import argparse
import itertools
import signal
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import psutil

from bench.figures import Figure, print_figures, print_summary
from bench.loadgen import percentile
from bench.processes import MeasuringFailed, machine

T = TypeVar("T")
Report = tuple[list[Figure], dict[str, object]]
"""The figures that have targets, and everything that was measured."""


def parser(description: str, rounds: int) -> argparse.ArgumentParser:
    """Return a parser with what all have: ``--quick``, ``--rounds`` and ``--set``."""
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
    """Measure and report; returns the exit status, which tells whether the measuring worked."""
    # `dev.py bench` ends its benchmarks so; the services must not outlive them.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    where = machine()
    note(f"machine: {where}")
    try:
        figures, details = measure()
    except (MeasuringFailed, OSError, psutil.Error) as error:
        note(f"The measuring failed: {error}")
        return 1
    print_figures(figures)
    said = {"quick": options.quick, "rounds": rounds_of(options), "settings": settings_of(options), "machine": where}
    print_summary(name, figures, {**said, **details})
    return 0


def note(text: str) -> None:
    """Tell how far it is."""
    print(text, file=sys.stderr, flush=True)


def in_turn(sides: Sequence[T], round_number: int) -> Iterator[T]:
    """Yield all sides, each round beginning with another one."""
    first = round_number % len(sides)
    yield from itertools.chain(sides[first:], sides[:first])


def spread_ms(seconds: Sequence[float]) -> dict[str, float]:
    """Return the percentiles of durations, in milliseconds."""
    return {
        "n": len(seconds),
        "p50_ms": round(1000 * statistics.median(seconds), 3),
        "p95_ms": round(1000 * percentile(seconds, 0.95), 3),
        "max_ms": round(1000 * max(seconds), 3),
    }


def series(values: Sequence[float], digits: int = 3) -> dict[str, object]:
    """Return the median of the rounds' values and all of them."""
    return {"median": round(statistics.median(values), digits), "rounds": [round(value, digits) for value in values]}


def median_ratio(mine: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the rounds' ratios: the two halves of a round met the same machine."""
    return statistics.median(one / other for one, other in zip(mine, theirs, strict=True))


def table(title: str, rows: Mapping[str, Mapping[str, object]]) -> None:
    """Print rows of named values."""
    print(f"\n{title}")
    for name, values in rows.items():
        print(f"  {name:<34} " + "  ".join(f"{key} {value}" for key, value in values.items()), flush=True)
