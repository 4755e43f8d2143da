"""The LLM service over HTTP against its own engine without HTTP: tokens/s and processor time.

    python dev.py bench overhead [-- --quick | --rounds N | --concurrent 1 8 32 | --tokens 64 256]

The service runs as it is started by its users; the engine runs beside it, in a process of its own, on
the same model file with the same settings, and while one works the other is idle. Questions of about
60 tokens, sampled without a seed and with Cache-Control: no-store, so that every answer is computed;
what is counted are the tokens really generated. The service is asked plainly and streamed. The last
line on standard output is one JSON object. The exit status tells whether the measuring worked, not
whether the targets are reached.
"""

import argparse
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "llm_service"))

from bench import program
from bench.bare_engine import BareEngine, Job
from bench.figures import Figure
from bench.processes import Disturbance, Service, cpu_seconds, llm_service
from bench.questions import TEMPERATURE, TOP_P, numbered, questions
from bench.wire import NO_STORE, Call, call_all

ROUNDS = 5
TARGET = 0.95
GENERATE = "/api/llm/generate"
STEP_TOKENS = 384
"""Prompt tokens read in one step. The service would measure how many; here both are told the same."""
QUESTIONS = {1: 4, 8: 24, 32: 64}
"""Questions a run, by how many are asked at once."""
SIDES = ("bare", "plain", "streamed")


@dataclass
class Side:
    """What one side did in one case, a value for each round."""

    rate: list[float] = field(default_factory=list)
    cpu_per_1000: list[dict[str, float]] = field(default_factory=list)
    answers: int = 0
    full_length: int = 0
    prompt_tokens: int = 0

    def add(self, tokens: int, seconds: float, cpu: dict[str, float]) -> None:
        """Note a run."""
        self.rate.append(tokens / seconds)
        self.cpu_per_1000.append({role: 1000 * spent / tokens for role, spent in cpu.items()})

    def cpu(self, *roles: str) -> list[float]:
        """Processor seconds for 1,000 tokens in each round, of some of the processes together."""
        return [sum(spent.get(role, 0.0) for role in roles) for spent in self.cpu_per_1000]

    def summary(self) -> dict[str, object]:
        """Medians, and every round's value."""
        roles = sorted({role for spent in self.cpu_per_1000 for role in spent})
        return {
            "tok_s": program.series(self.rate, 1),
            "cpu_s_per_1000_tokens": {role: program.series(self.cpu(role)) for role in roles},
            "full_length_share": round(self.full_length / self.answers, 3),
            "prompt_tokens": round(self.prompt_tokens / self.answers, 1),
        }


@dataclass(frozen=True)
class Case:
    """So many questions at once, answered in so many tokens at most."""

    concurrent: int
    tokens: int

    @property
    def name(self) -> str:
        """For tables and JSON."""
        return f"{self.concurrent} concurrent, {self.tokens} tokens"


class Bench:
    """Both sides, up and loaded."""

    def __init__(self, service: Service, bare: BareEngine, quick: bool) -> None:
        self._service, self._bare, self._quick = service, bare, quick
        self._asked = 0
        self.others_busy: list[float] = []

    def round(self, number: int, cases: dict[Case, dict[str, Side]]) -> None:
        """Run every case on every side, the sides in turn."""
        disturbance = Disturbance((self._service, self._bare))
        for case, sides in cases.items():
            asked = self._questions(case)
            for name in program.in_turn(SIDES, number):
                (self._ask_bare if name == "bare" else self._ask_service)(case, name, numbered(asked), sides[name])
            rates = ", ".join(f"{name} {sides[name].rate[-1]:.1f}" for name in SIDES)
            program.note(f"round {number}, {case.name}: {rates} tok/s")
        self.others_busy.append(round(disturbance.share(), 3))

    def _questions(self, case: Case) -> list[str]:
        count = case.concurrent if self._quick else QUESTIONS.get(case.concurrent, 2 * case.concurrent)
        self._asked += count
        return questions(count, self._asked - count)

    def _ask_bare(self, case: Case, _: str, prompts: tuple[str, ...], side: Side) -> None:
        job = Job(prompts, case.concurrent, case.tokens, TEMPERATURE, TOP_P)
        process = self._bare.processes()[0]
        before = cpu_seconds(process)
        outcome = self._bare.run(job)
        side.add(outcome.tokens, outcome.seconds, {"engine": cpu_seconds(process) - before})
        side.answers += len(job.prompts)
        side.full_length += outcome.full_length
        side.prompt_tokens += outcome.prompt_tokens

    def _ask_service(self, case: Case, name: str, prompts: tuple[str, ...], side: Side) -> None:
        fields = {"max_new_tokens": case.tokens, "temperature": TEMPERATURE, "top_p": TOP_P}
        bodies = [
            {"messages": [{"role": "user", "content": prompt}], "stream": name == "streamed", **fields}
            for prompt in prompts
        ]
        before, own = self._service.cpu_seconds(), time.process_time()
        answers, seconds = call_all(
            self._service.port, [Call(GENERATE, body, NO_STORE) for body in bodies], case.concurrent
        )
        cpu = {role: spent - before[role] for role, spent in self._service.cpu_seconds().items()}
        # The callers take their time from the same processors; no engine without HTTP has any.
        cpu["callers"] = time.process_time() - own
        usages = [answer.json()["usage"] for answer in answers]
        side.add(sum(usage["completion_tokens"] for usage in usages), seconds, cpu)
        side.answers += len(usages)
        side.full_length += sum(usage["completion_tokens"] == case.tokens for usage in usages)
        side.prompt_tokens += sum(usage["prompt_tokens"] for usage in usages)


def measure(options: argparse.Namespace) -> program.Report:
    """Run every round; raises ``MeasuringFailed``."""
    max_batch = max(options.concurrent)
    settings = {
        "LLM_MAX_BATCH": str(max_batch),
        "LLM_MAX_BATCHED_TOKENS": str(STEP_TOKENS),
        "EMBEDDING_BACKEND": "fake",
        **program.settings_of(options),
    }
    wanted = [Case(concurrent, tokens) for concurrent in options.concurrent for tokens in options.tokens]
    cases = {case: {name: Side() for name in SIDES} for case in wanted}
    with llm_service(settings) as service, BareEngine(max_batch, STEP_TOKENS) as bare:
        service.wait_for("/readyz")
        bare.wait_until_loaded()
        bench = Bench(service, bare, options.quick)
        # Kernels are compiled for each number of answers side by side.
        shortest = min(options.tokens)
        bench.round(
            0, {Case(concurrent, shortest): {name: Side() for name in SIDES} for concurrent in options.concurrent}
        )
        bench.others_busy.clear()
        for number in range(1, program.rounds_of(options) + 1):
            bench.round(number, cases)
    return _figures(cases), {"others_busy": bench.others_busy, "cases": _details(cases), "service": settings}


def _figures(cases: dict[Case, dict[str, Side]]) -> list[Figure]:
    return [
        Figure(f"{case.name}, {name}", program.median_ratio(sides[name].rate, sides["bare"].rate), "x", ">=", TARGET)
        for case, sides in cases.items()
        for name in ("plain", "streamed")
    ]


def _details(cases: dict[Case, dict[str, Side]]) -> dict[str, object]:
    details: dict[str, object] = {}
    for case, sides in cases.items():
        engine = sides["bare"].cpu("engine")
        rows: dict[str, dict[str, object]] = {}
        found: dict[str, object] = {name: side.summary() for name, side in sides.items()}
        for name in ("plain", "streamed"):
            worker, whole = sides[name].cpu("generator"), sides[name].cpu("generator", "http")
            ratios = {
                "worker": round(program.median_ratio(worker, engine), 3),
                "worker_and_http": round(program.median_ratio(whole, engine), 3),
            }
            found[f"{name}_cpu_ratio"] = ratios
            rows[name] = {"CPU of the worker / bare": ratios["worker"], "with HTTP": ratios["worker_and_http"]}
        program.table(case.name, rows)
        details[case.name] = found
    return details


def main() -> int:
    """Measure and report."""
    parser = program.parser(__doc__ or "", ROUNDS)
    parser.add_argument("--concurrent", type=int, nargs="+", default=[1, 8, 32], metavar="N", help="(default: 1 8 32)")
    parser.add_argument("--tokens", type=int, nargs="+", metavar="N", help="new tokens (default: 64 256; quick: 64)")
    options = parser.parse_args()
    options.tokens = options.tokens or ([64] if options.quick else [64, 256])
    return program.main("overhead", options, lambda: measure(options))


if __name__ == "__main__":
    sys.exit(main())
