"""Runs one program of bench/ and reports: ``python -m bench service.peers [OPTIONS]``.

A program is a module with ``measure(options)``, plain or async, which returns a ``Report``. It may have ``ROUNDS``, the
number of rounds of a whole run (1 without it), and ``add_options(parser)``.
"""

import argparse
import asyncio
import importlib
import inspect
import json
import signal
import sys
from collections.abc import Sequence
from typing import Any

import psutil

from bench.harness.http import MeasuringFailed
from bench.harness.services import machine
from bench.harness.study import Figure, Report, note

_SIGNS = {">=": "≥", "<=": "≤"}


def main() -> int:
    """Measure and report. The last line on standard output is one JSON object; the exit status says whether the
    measuring worked, not whether the targets are reached.
    """
    # A termination signal ends this program as an exception does, so that its servers end with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    place, *arguments = sys.argv[1:]
    name = place.rpartition(".")[2]
    program = importlib.import_module(f"bench.{place}")
    options = _parse(name, program, arguments)
    where = machine()
    note(f"machine: {where}")
    try:
        found = program.measure(options)
        report: Report = asyncio.run(found) if inspect.iscoroutine(found) else found
    except (MeasuringFailed, OSError, psutil.Error) as error:
        note(f"The measuring failed: {error}")
        return 1
    _print_figures(report.figures)
    said = {"bench": name, "quick": options.quick, "settings": options.settings, "machine": where}
    print(json.dumps({**said, **_summary(report.figures), **report.details}, ensure_ascii=False))
    return 0


def _parse(name: str, program: Any, arguments: Sequence[str]) -> argparse.Namespace:
    """The options; ``rounds`` is a number and ``settings`` maps names of the service's settings to values."""
    rounds = getattr(program, "ROUNDS", 1)
    parser = argparse.ArgumentParser(
        prog=f"dev.py bench {name} --",
        description=program.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="one round of less: to see that it works")
    parser.add_argument("--rounds", type=int, choices=range(1, 101), metavar="N", help=f"rounds (default: {rounds})")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the service")
    if hasattr(program, "add_options"):
        program.add_options(parser)
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (1 if options.quick else rounds)
    options.settings = dict(setting.split("=", 1) for setting in options.set)
    return options


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


def _print_figures(figures: Sequence[Figure]) -> None:
    if figures:
        print(f"\n{'figure':<56} {'measured':>10} {'target':>14}")
    for figure in figures:
        target = f"{_SIGNS[figure.relation]} {figure.target:g} {figure.unit}"
        print(f"{figure.name:<56} {figure.value:>10.4g} {target:>14}  {'reached' if figure.reached else 'MISSED'}")


if __name__ == "__main__":
    sys.exit(main())
