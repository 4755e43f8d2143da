"""The LLM service against the plan's code as written: generation, health under load, embeddings, memory.

    python dev.py bench llm_service [-- --quick | --extended]

Starts both on free loopback ports with the embedded models and loads one at a time, in turns, so
that a machine that drifts drifts for both; ratios are medians over the rounds. The last line on
standard output is one JSON object. The exit status tells whether the measuring worked, not
whether the targets are reached.
"""

import argparse
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.agreement import smallest_cosine
from bench.figures import Figure, print_figures, print_summary
from bench.measured import Measured, details_of, ratio
from bench.processes import Disturbance, MeasuringFailed, baseline_service, llm_service, machine
from bench.scenarios import HEALTH, LIVEZ, Subject, vectors_of
from bench.workload import dictionary_lines, generation_bodies

CONCURRENT = 8
EMBEDDING_CALLERS = 4
WARM_UP_SEED = 0
SCALING = (1, 2, 4, 8, 16, 32)
DISTURBED = 0.05


@dataclass(frozen=True)
class Size:
    """How much is measured. Our service gets more requests where it is quicker: its times are short."""

    rounds: int
    tokens: int
    texts: int
    alone: int
    alone_baseline: int
    bursts: int
    sustained_s: float


FULL = Size(rounds=3, tokens=64, texts=2000, alone=6, alone_baseline=3, bursts=3, sustained_s=15.0)
QUICK = Size(rounds=1, tokens=64, texts=320, alone=3, alone_baseline=1, bursts=2, sustained_s=4.0)


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round and fewer texts: to see that it works")
    parser.add_argument("--extended", action="store_true", help="our service with 1 to 32 concurrent requests too")
    parser.add_argument("--rounds", type=int, choices=range(1, 21), metavar="N", help="rounds (default: 3)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of our service")
    options = parser.parse_args()
    size = QUICK if options.quick else FULL
    # `dev.py bench` ends its benchmarks so; the services must not outlive them.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    where = machine()
    print(f"machine: {where}")
    try:
        settings = dict(setting.split("=", 1) for setting in options.set)
        measured = measure(size, options.rounds or size.rounds, settings, extended=options.extended)
        cosine = _smallest_cosine(measured)
    except (MeasuringFailed, psutil.Error) as error:
        print(f"The measuring failed: {error}", file=sys.stderr)
        return 1
    figures = figures_of(measured, cosine)
    _print_details(measured)
    print_figures(figures)
    if max(measured.others_busy) > DISTURBED:
        share = f"{max(measured.others_busy):.0%}"
        print(f"\nOther programs took {share} of the processors in a round: do not trust the ratios.")
    details = {"quick": options.quick, "settings": settings, "machine": where, **details_of(measured)}
    print_summary("llm_service", figures, details)
    return 0


def measure(size: Size, rounds: int, settings: dict[str, str], *, extended: bool) -> Measured:
    """Run every scenario; raises ``MeasuringFailed``."""
    measured = Measured()
    with llm_service(settings) as ours_process:
        with baseline_service() as baseline_process:
            baseline_process.wait_for(HEALTH)
            ours_process.wait_for("/readyz")
            baseline = Subject("baseline", baseline_process.port, generation_bodies(size.tokens), size.tokens)
            ours = Subject("ours", ours_process.port, generation_bodies(size.tokens), size.tokens, (HEALTH, LIVEZ))
            for subject in (baseline, ours):
                subject.generate(1, callers=1)
                subject.embed(dictionary_lines(64, WARM_UP_SEED), callers=1)
            for number in range(1, rounds + 1):
                disturbance = Disturbance((ours_process, baseline_process))
                _round(number, size, measured, baseline, ours)
                measured.others_busy.append(round(disturbance.share(), 3))
            measured.baseline_memory = baseline_process.memory()
        sustained = ours.generate_for(size.sustained_s, CONCURRENT, probe_every_s=0.02)
        print(f"sustained: {sustained.rate:.0f} tok/s for {sustained.seconds:.0f} s with close probing")
        # Now that the other service no longer shares library pages with it, PSS counts them whole.
        measured.ours_memory = ours_process.memory()
        if extended:
            for callers in SCALING:
                generation = ours.generate(max(8, 2 * callers), callers)
                measured.scaling[str(callers)] = round(generation.rate, 1)
        measured.baseline_latency, measured.ours_latency = baseline.latency_summary(), ours.latency_summary()
    return measured


def _round(number: int, size: Size, measured: Measured, baseline: Subject, ours: Subject) -> None:
    """Measure each scenario of one service and then of the other, so that both meet the same weather."""
    started = time.perf_counter()
    theirs, mine = measured.baseline, measured.ours
    theirs.alone.append(theirs.count(baseline.generate(size.alone_baseline, callers=1)))
    mine.alone.append(mine.count(ours.generate(size.alone, callers=1)))
    theirs.concurrent.append(theirs.count(baseline.generate_bursts(CONCURRENT, bursts=1)))
    mine.concurrent.append(mine.count(ours.generate_bursts(CONCURRENT, bursts=size.bursts)))
    for callers, their_rates, my_rates in (
        (1, theirs.embed_sequential, mine.embed_sequential),
        (EMBEDDING_CALLERS, theirs.embed_concurrent, mine.embed_concurrent),
    ):
        texts = dictionary_lines(size.texts, seed=2 * number + (callers > 1))
        their_rates.append(baseline.embed(texts, callers)[0])
        rate, replies = ours.embed(texts, callers)
        my_rates.append(rate)
        if number == 1:
            measured.embedded.append((texts, replies))
    print(
        f"round {number} ({time.perf_counter() - started:.0f} s): "
        f"alone {theirs.alone[-1]:.1f} / {mine.alone[-1]:.1f} tok/s, "
        f"{CONCURRENT} together {theirs.concurrent[-1]:.1f} / {mine.concurrent[-1]:.1f} tok/s, "
        f"embeddings {theirs.embed_sequential[-1]:.0f} / {mine.embed_sequential[-1]:.0f} texts/s, "
        f"{EMBEDDING_CALLERS} callers {theirs.embed_concurrent[-1]:.0f} / {mine.embed_concurrent[-1]:.0f} texts/s",
        flush=True,
    )


def _smallest_cosine(measured: Measured) -> float:
    texts = [text for lines, _ in measured.embedded for text in lines]
    return smallest_cosine(texts, vectors_of([reply for _, replies in measured.embedded for reply in replies]))


def figures_of(measured: Measured, cosine: float) -> list[Figure]:
    """The figures that have targets."""
    ours, theirs, latency = measured.ours, measured.baseline, measured.ours_latency
    return [
        Figure("one generation alone, ratio", ratio(ours.alone, theirs.alone), "x", ">=", 4.5),
        Figure("8 concurrent generations, ratio", ratio(ours.concurrent, theirs.concurrent), "x", ">=", 16),
        Figure("/livez p99 meanwhile", latency[LIVEZ]["p99_ms"], "ms", "<", 50),
        Figure("/api/llm/health p99 meanwhile", latency[HEALTH]["p99_ms"], "ms", "<", 50),
        Figure("embeddings, one caller, ratio", ratio(ours.embed_sequential, theirs.embed_sequential), "x", ">=", 5),
        Figure("smallest cosine with fp32", cosine, "", ">=", 0.9999),
        Figure("memory after the load", sum(process.pss for process in measured.ours_memory), "MB", "<=", 1200),
    ]


def _print_details(measured: Measured) -> None:
    for name, latency, memory in (
        ("baseline", measured.baseline_latency, measured.baseline_memory),
        ("ours", measured.ours_latency, measured.ours_memory),
    ):
        print(f"\n{name}:")
        for path, values in latency.items():
            print(f"  {path:<18} " + "  ".join(f"{key} {value:g}" for key, value in values.items()))
        for process in memory:
            print(f"  {process.role:<18} PSS {process.pss:.0f} MB, of it alone {process.uss:.0f} MB")
    for callers, rate in measured.scaling.items():
        print(f"  {callers:>2} concurrent      {rate:.1f} tok/s")


if __name__ == "__main__":
    sys.exit(main())
