"""Prompt lookup: the service with it (auto) and without (off), on answers that repeat their sources and others.

    python dev.py bench prompt_lookup [-- --quick | --rounds N]

Two services, one idle while the other works. Greedy copies of passages, stories sampled, and what the
backend asks about its dictionary; one at a time, four and eight. The service learns which answers
repeat their sources from those it gives, so each kind is asked for some seconds before anything is
counted. Then texts are compared: greedy ones without a seed, which may differ by rounding, and those
with a seed, which may not. The last line on standard output is one JSON object. The exit status tells
whether the measuring worked, not whether the targets are reached.
"""

import argparse
import contextlib
import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import program
from bench.figures import Figure
from bench.processes import Disturbance, Service, llm_service, role_of
from bench.repeating import Workload, copied_share, copying, dictionary, indices, stories, that_copies
from bench.wire import Answer, Caller, call_all

ROUNDS = 5
SIDES = ("off", "auto")
REQUESTS = {1: 8, 4: 16, 8: 32}
"""Requests a run, by how many are made at once."""
FASTER, NEVER_SLOWER = 2.0, 0.97
WARM_UP_S, QUICK_WARM_UP_S = 15.0, 8.0
FEWEST_WARM_UP = 6
DIFFERENT = 400
"""Conversations of a kind; then they come again."""
SECOND_PIPELINE_MB = 60.0
"""What the worker must have grown by at least if it looks up: it holds the model a second time."""
AT_ONCE = 8
PASSAGES = 80
"""Passages that the model is asked to repeat; those that it does are used."""


@dataclass
class Case:
    """One workload at one concurrency: tokens a second of each side, and its worker's processor seconds for
    1,000 tokens, a value a round.
    """

    workload: Workload
    concurrent: int
    rates: dict[str, list[float]] = field(default_factory=lambda: {side: [] for side in SIDES})
    cpu: dict[str, list[float]] = field(default_factory=lambda: {side: [] for side in SIDES})
    tokens: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SIDES, 0))
    copied: list[float] = field(default_factory=list)

    @property
    def name(self) -> str:
        """For tables and JSON."""
        return f"{self.workload.name}, {self.concurrent} at once"

    @property
    def ratio(self) -> float:
        """With prompt lookup against without."""
        return program.median_ratio(self.rates["auto"], self.rates["off"])

    def summary(self) -> dict[str, object]:
        """Medians, and every round's value."""
        rates = {f"{side}_tok_s": program.series(values, 1) for side, values in self.rates.items()}
        cpu: dict[str, object] = {f"{side}_cpu_s_per_1000": program.series(values) for side, values in self.cpu.items()}
        cpu["cpu_ratio"] = round(program.median_ratio(self.cpu["auto"], self.cpu["off"]), 3)
        copied = round(sum(self.copied) / len(self.copied), 3)
        return {**rates, "ratio": round(self.ratio, 3), **cpu, "tokens": self.tokens, "copied_share": copied}


def measure(options: argparse.Namespace) -> program.Report:
    """Compare rates, then texts; raises ``MeasuringFailed``."""
    settings = {"EMBEDDING_BACKEND": "fake", "LLM_REPRODUCIBLE": "true", **program.settings_of(options)}
    warm_up_s = QUICK_WARM_UP_S if options.quick else WARM_UP_S
    asked = itertools.count()
    with both(settings) as services:
        copies = that_copies(copying(16 if options.quick else PASSAGES), services["off"].port)
        program.note(f"the model copies {len(copies.conversations)} passages")
        workloads = [copies, stories(DIFFERENT), dictionary(DIFFERENT)]
        cases = [Case(workload, concurrent) for concurrent in REQUESTS for workload in workloads]
        warmed = {side: warm_up(service, workloads, warm_up_s, asked) for side, service in services.items()}
        disturbance = Disturbance(list(services.values()))
        for number in range(1, program.rounds_of(options) + 1):
            for case in cases:
                _round(number, case, services, asked, quick=options.quick)
        busy = round(disturbance.share(), 3)
        memory = {side: _generator_memory(service) for side, service in services.items()}
        greedy = {load.name: _greedy_texts(load, services, asked, quick=options.quick) for load in workloads}
        seeded = {load.name: _seeded_texts(load, services, asked, quick=options.quick) for load in workloads}
    if memory["auto"] < memory["off"] + SECOND_PIPELINE_MB:
        program.note("No second pipeline was seen: was there no memory for it, or were the answers not copies?")
    rows = {case.name: {"off": case.rates["off"][-1], "auto": case.rates["auto"][-1]} for case in cases}
    program.table("last round, tok/s", {name: {k: round(v, 1) for k, v in row.items()} for name, row in rows.items()})
    details = {
        "others_busy": busy,
        "warm_up_tok_s": warmed,
        "generator_rss_mb": memory,
        "cases": {case.name: case.summary() for case in cases},
        "greedy_texts": greedy,
        "seeded_same_text_share": seeded,
    }
    return _figures(cases, greedy[copies.name]["same_text_share"], min(seeded.values())), details


@contextlib.contextmanager
def both(settings: dict[str, str]) -> Iterator[dict[str, Service]]:
    """Two services that differ in prompt lookup alone, ready."""
    with contextlib.ExitStack() as stack:
        made = {side: llm_service({**settings, "LLM_PROMPT_LOOKUP": side}) for side in SIDES}
        for service in made.values():
            stack.enter_context(service)
        for service in made.values():
            service.wait_for("/readyz")
        yield made


def warm_up(
    service: Service, workloads: Sequence[Workload], seconds: float, asked: "itertools.count[int]"
) -> dict[str, list[float]]:
    """Ask for each kind of answer alone, for a while; returns the rate of each answer."""
    rates: dict[str, list[float]] = {}
    for workload in workloads:
        found = rates.setdefault(workload.name, [])
        ending = time.perf_counter() + seconds
        with Caller(service.port) as caller:
            while time.perf_counter() < ending or len(found) < FEWEST_WARM_UP:
                answer = caller.call(workload.call(next(asked)).encoded())
                found.append(round(answer.json()["usage"]["completion_tokens"] / answer.seconds, 1))
    return rates


def _round(
    number: int, case: Case, services: dict[str, Service], asked: "itertools.count[int]", *, quick: bool
) -> None:
    """Make the same requests of both services, in turn."""
    numbers = indices(asked, case.concurrent if quick else REQUESTS[case.concurrent])
    texts: dict[str, list[str]] = {}
    for side in program.in_turn(SIDES, number):
        calls = [case.workload.call(index) for index in numbers]
        before = services[side].cpu_seconds()["generator"]
        answers, seconds = call_all(services[side].port, calls, case.concurrent)
        spent = services[side].cpu_seconds()["generator"] - before
        tokens = sum(int(answer.json()["usage"]["completion_tokens"]) for answer in answers)
        case.rates[side].append(tokens / seconds)
        case.cpu[side].append(1000 * spent / tokens)
        case.tokens[side] += tokens
        texts[side] = _texts(answers)
    case.copied.append(copied_share(case.workload, numbers, texts["auto"]))
    off, auto = case.rates["off"][-1], case.rates["auto"][-1]
    program.note(f"round {number}, {case.name}: off {off:.1f}, auto {auto:.1f} tok/s, copied {case.copied[-1]:.2f}")


def _greedy_texts(
    workload: Workload, services: dict[str, Service], asked: "itertools.count[int]", *, quick: bool
) -> dict[str, float]:
    """Ask greedily and one at a time; how many texts are the same, and how much of them up to where they part."""
    calls = [workload.call(index, temperature=0) for index in indices(asked, 3 if quick else 20)]
    texts = {side: _texts(call_all(service.port, calls, 1)[0]) for side, service in services.items()}
    pairs = list(zip(texts["off"], texts["auto"], strict=True))
    until = [_same_until(*pair) for pair in pairs]
    found = {"same_text_share": round(_same(texts), 3), "same_until": round(sum(until) / len(until), 3)}
    program.note(f"greedy, {workload.name}: {found}")
    return found


def _seeded_texts(
    workload: Workload, services: dict[str, Service], asked: "itertools.count[int]", *, quick: bool
) -> float:
    """Ask with seeds, of one service one at a time and of the other all at once; how many texts are the same."""
    calls = [workload.call(index, seed=index) for index in indices(asked, 3 if quick else AT_ONCE)]
    callers = {"off": 1, "auto": AT_ONCE}
    texts = {side: _texts(call_all(service.port, calls, callers[side])[0]) for side, service in services.items()}
    share = _same(texts)
    program.note(f"seeded, {workload.name}: {share:.0%} of the texts are the same")
    return share


def _texts(answers: Sequence[Answer]) -> list[str]:
    return [str(answer.json()["answer"]) for answer in answers]


def _same(texts: dict[str, list[str]]) -> float:
    pairs = list(zip(texts["off"], texts["auto"], strict=True))
    return sum(off == auto for off, auto in pairs) / len(pairs)


def _same_until(one: str, other: str) -> float:
    """The part of two texts up to where they part, 0 to 1."""
    letters = zip(one, other, strict=False)
    same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], letters))
    return same / max(1, len(one), len(other))


def _generator_memory(service: Service) -> float:
    generator = next(process for process in service.processes() if role_of(process) == "generator")
    return round(float(generator.memory_info().rss) / 1e6, 1)


def _figures(cases: Sequence[Case], greedy: float, seeded: float) -> list[Figure]:
    figures = []
    for case in cases:
        copies_alone = case.concurrent == 1 and case is cases[0]
        figures.append(Figure(case.name, case.ratio, "x", ">=", FASTER if copies_alone else NEVER_SLOWER))
    figures.append(Figure("greedy copies: same text", greedy, "of all", ">=", 1.0))
    return [*figures, Figure("seeded: same text", seeded, "of all", ">=", 1.0)]


def main() -> int:
    """Measure and report."""
    options = program.parser(__doc__ or "", ROUNDS).parse_args()
    return program.main("prompt_lookup", options, lambda: measure(options))


if __name__ == "__main__":
    sys.exit(main())
