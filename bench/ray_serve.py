"""The LLM service under Ray Serve, with one and with two replicas, against one bare instance of it.

    python dev.py bench ray_serve [-- --quick | --rounds N | --concurrent 1 8 32]

The bare instance (uvicorn) and Ray run beside each other with the embedded model and the same settings, and while
one works the other is idle. First Ray has one replica, then two; each is compared with the bare instance in rounds of
its own, in turns. Streamed answers of 64 tokens, sampled and with Cache-Control: no-store: tokens/s and the time
to the first one. Cached answers: requests/s from 1 and from 8 callers. The last line on standard output is one JSON
object. The exit status tells whether the measuring worked; there are no targets.
"""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import program
from bench.processes import Disturbance, Service, llm_service
from bench.questions import TEMPERATURE, TOP_P, numbered, questions
from bench.ray_head import RayHead
from bench.wire import NO_STORE, Call, call_all

ROUNDS = 3
TOKENS = 64
GENERATE = "/api/llm/generate"
QUESTIONS = {1: 4, 8: 24, 32: 64}
"""Questions a run, by how many are asked at once."""
CACHED = {1: 200, 8: 800}
SETTINGS = {
    "LLM_MODEL": "embedded",
    "LLM_BACKEND": "openvino",
    "LLM_MAX_BATCH": "32",
    "LLM_MAX_BATCHED_TOKENS": "384",
    "EMBEDDING_MODEL": "embedded",
    "EMBEDDING_BACKEND": "fake",
}


class Subject(Protocol):
    """Something that serves on a port and takes processor time."""

    port: int

    def cpu_seconds(self) -> dict[str, float]:
        """Processor time taken so far, by what the process does."""
        ...


@dataclass
class Side:
    """What one side did in one case, a value for each round."""

    rate: list[float] = field(default_factory=list)
    """Tokens or requests a second."""
    first_ms: list[float] = field(default_factory=list)
    """Median to the first token, or to the cached answer."""
    cpu_ms: list[dict[str, float]] = field(default_factory=list)
    """Processor milliseconds for a token or a request, by process."""

    def summary(self) -> dict[str, object]:
        """Medians, and every round's value."""
        roles = sorted({role for spent in self.cpu_ms for role in spent})
        cpu = {role: program.series([spent.get(role, 0.0) for spent in self.cpu_ms]) for role in roles}
        return {"rate": program.series(self.rate, 1), "first_ms": program.series(self.first_ms, 1), "cpu_ms": cpu}


@dataclass(frozen=True)
class Case:
    """So many callers, of answers that are computed or cached."""

    callers: int
    cached: bool

    @property
    def name(self) -> str:
        """For tables and JSON."""
        return f"{self.callers} callers, cached" if self.cached else f"{self.callers} at once"


class Bench:
    """The bare instance and Ray, up."""

    def __init__(self, bare: Service, ray: RayHead, options: argparse.Namespace) -> None:
        self._subjects: Mapping[str, Subject] = {"bare": bare, "ray": ray}
        self._processes = (bare, ray)
        self._options = options
        self.others_busy: list[float] = []

    def compare(self, replicas: int) -> dict[Case, dict[str, Side]]:
        """Run every case on both sides, round by round, the sides in turns."""
        wanted = [Case(callers, cached=False) for callers in self._options.concurrent]
        wanted += [Case(callers, cached=True) for callers in CACHED]
        for case in wanted:
            self._run(case, {name: Side() for name in self._subjects}, 0)
        found = {case: {name: Side() for name in self._subjects} for case in wanted}
        for number in range(1, program.rounds_of(self._options) + 1):
            disturbance = Disturbance(self._processes)
            for case, sides in found.items():
                self._run(case, sides, number)
                rates = ", ".join(f"{name} {side.rate[-1]:.1f}" for name, side in sides.items())
                firsts = ", ".join(f"{name} {side.first_ms[-1]:.1f} ms" for name, side in sides.items())
                program.note(f"{replicas} replicas, round {number}, {case.name}: {rates} a second; first {firsts}")
            self.others_busy.append(round(disturbance.share(), 3))
        return found

    def _run(self, case: Case, sides: dict[str, Side], number: int) -> None:
        for name in program.in_turn(list(self._subjects), number):
            self._ask(case, self._subjects[name], sides[name])

    def _ask(self, case: Case, subject: Subject, side: Side) -> None:
        calls = self._cached(case) if case.cached else self._new(case)
        if case.cached:
            # Each replica has a cache of its own and has to be asked once.
            call_all(subject.port, calls[:40], 4)
        before = subject.cpu_seconds()
        answers, seconds = call_all(subject.port, calls, case.callers)
        after = subject.cpu_seconds()
        units = len(calls) if case.cached else sum(answer.json()["usage"]["completion_tokens"] for answer in answers)
        firsts = [1000 * answer.first_s for answer in answers]
        side.rate.append(units / seconds)
        side.first_ms.append(program.spread_ms([one / 1000 for one in firsts])["p50_ms"])
        side.cpu_ms.append({role: 1000 * (spent - before.get(role, 0.0)) / units for role, spent in after.items()})

    def _new(self, case: Case) -> list[Call]:
        count = case.callers if self._options.quick else QUESTIONS.get(case.callers, 2 * case.callers)
        fields = {"max_new_tokens": TOKENS, "temperature": TEMPERATURE, "top_p": TOP_P, "stream": True}
        return [
            Call(GENERATE, {"messages": [{"role": "user", "content": prompt}], **fields}, NO_STORE)
            for prompt in numbered(questions(count))
        ]

    def _cached(self, case: Case) -> list[Call]:
        (prompt,) = questions(1)
        body = {"messages": [{"role": "user", "content": prompt}], "max_new_tokens": 16, "temperature": 0}
        return [Call(GENERATE, body)] * (100 if self._options.quick else CACHED[case.callers])


def measure(options: argparse.Namespace) -> program.Report:
    """Measure with one replica and with two; raises ``MeasuringFailed``."""
    settings = {**SETTINGS, **program.settings_of(options)}
    details: dict[str, object] = {}
    with llm_service(settings) as bare, RayHead(settings) as ray:
        bare.wait_for("/readyz")
        bench = Bench(bare, ray, options)
        for replicas in (1, 2):
            ray.deploy(replicas)
            details[f"{replicas}_replicas"] = _told(replicas, bench.compare(replicas))
            details[f"{replicas}_replicas_memory_mb"] = ray.memory_mb()
            program.note(f"memory of {replicas} replicas: {ray.memory_mb()}")
    return [], {**details, "others_busy": bench.others_busy, "service": settings}


def _told(replicas: int, found: dict[Case, dict[str, Side]]) -> dict[str, object]:
    rows: dict[str, dict[str, object]] = {}
    details: dict[str, object] = {}
    for case, sides in found.items():
        bare, ray = sides["bare"], sides["ray"]
        ratio = round(program.median_ratio(ray.rate, bare.rate), 3)
        more_ms = sorted(one - other for one, other in zip(ray.first_ms, bare.first_ms, strict=True))
        rows[case.name] = {
            "ray/bare": ratio,
            "ray": program.series(ray.rate, 1)["median"],
            "bare": program.series(bare.rate, 1)["median"],
            "first ms": f"{program.series(ray.first_ms, 1)['median']} / {program.series(bare.first_ms, 1)['median']}",
        }
        more = round(more_ms[len(more_ms) // 2], 1)
        summaries = {name: side.summary() for name, side in sides.items()}
        details[case.name] = {"ratio": ratio, "first_more_ms": more, **summaries}
    program.table(f"{replicas} replicas against one bare instance, a second", rows)
    return details


def main() -> int:
    """Measure and report."""
    parser = program.parser(__doc__ or "", ROUNDS)
    parser.add_argument("--concurrent", type=int, nargs="+", default=[1, 8, 32], metavar="N", help="(default: 1 8 32)")
    options = parser.parse_args()
    return program.main("ray_serve", options, lambda: measure(options))


if __name__ == "__main__":
    sys.exit(main())
