"""What one HTTP process can carry whatever the model's speed: cached answers a second, streamed tokens a second.

    python dev.py bench http_limits [-- --quick | --rounds N | --concurrent 1 8 32]
    python dev.py bench http_limits -- --port 8080        # only cached answers, of what listens there: a balancer

The engine is the one without weights, whose own time is next to nothing. Cached answers: one greedy question, asked
again and again. Tokens: answers of 200 words, streamed, each word an event of its own, from the service's own worker
and from an upstream (a second instance). On a machine that others use read the processor time, which is less noisy
than the clock: its reciprocal is what one core can do when the process has it alone. No figure has a target. The
last line on standard output is one JSON object.
"""

import argparse
import contextlib
import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import program
from bench.processes import HOST, Disturbance, Service, llm_service
from bench.questions import numbered
from bench.wire import Answer, Call, call_all

ROUNDS = 5
GENERATE = "/api/llm/generate"
HITS = {1: 400, 8: 1600}
MOST_HITS = 3200
WORDS = 200
FAKE = {"LLM_BACKEND": "fake", "EMBEDDING_BACKEND": "fake", "LLM_MAX_BATCH": "256", "LLM_MAX_QUEUE": "1000"}


@dataclass
class Runs:
    """What came of one case, a value for each round; ``cpu_ms`` is the HTTP process's for one unit."""

    per_second: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, object]:
        """Medians, and every round's value; what processor time allows a core that does nothing else."""
        found: dict[str, object] = {"per_s": program.series(self.per_second, 1), "p50_ms": program.series(self.p50_ms)}
        if self.cpu_ms:
            found["cpu_ms"] = program.series(self.cpu_ms)
            found["per_s_and_core"] = round(1000 / statistics.median(self.cpu_ms))
        return found


class Bench:
    """The services; ``front`` has the other one as its upstream."""

    def __init__(self, own: Service, front: Service, quick: bool) -> None:
        self._services = {"own worker": own, "upstream": front}
        self._own, self._quick = own, quick

    def round(self, number: int, concurrents: list[int], cases: dict[str, Runs]) -> None:
        """Run every case once."""
        for concurrent in concurrents:
            name = f"cached answers, {concurrent} at once"
            self._run(
                self._own, _hits(concurrent, self._quick), concurrent, cases.setdefault(name, Runs()), tokens=False
            )
            for source, service in self._services.items():
                name = f"tokens of its {source}, {concurrent} at once"
                count = max(concurrent, 4 if self._quick else 16)
                self._run(service, _streams(count), concurrent, cases.setdefault(name, Runs()), tokens=True)
        program.note(f"round {number}")

    def _run(self, service: Service, calls: list[Call], concurrent: int, runs: Runs, *, tokens: bool) -> None:
        before = service.cpu_seconds()["http"]
        answers, seconds = call_all(service.port, calls, concurrent)
        spent = service.cpu_seconds()["http"] - before
        units = sum(answer.json()["usage"]["completion_tokens"] for answer in answers) if tokens else len(answers)
        _note(runs, answers, units / seconds)
        runs.cpu_ms.append(1000 * spent / units)


def measure(options: argparse.Namespace) -> program.Report:
    """Run every round; raises ``MeasuringFailed``."""
    if options.port:
        return _measure_port(options)
    with contextlib.ExitStack() as stack:
        settings = {**FAKE, **program.settings_of(options)}
        own = stack.enter_context(llm_service(settings))
        own.wait_for("/readyz")
        upstream = {
            "LLM_BACKEND": "openai",
            "LLM_UPSTREAM_URL": f"http://{HOST}:{own.port}",
            "LLM_UPSTREAM_MODEL": "fake",
        }
        front = stack.enter_context(llm_service({**settings, **upstream}))
        front.wait_for("/readyz")
        bench, cases = Bench(own, front, options.quick), dict[str, Runs]()
        bench.round(0, options.concurrent, {})
        disturbance = Disturbance((own, front))
        for number in range(1, program.rounds_of(options) + 1):
            bench.round(number, options.concurrent, cases)
        others = round(disturbance.share(), 3)
    return [], {"others_busy": others, "cases": _told(cases)}


def _measure_port(options: argparse.Namespace) -> program.Report:
    cases: dict[str, Runs] = {}
    for number in range(program.rounds_of(options) + 1):
        for concurrent in options.concurrent:
            answers, seconds = call_all(options.port, _hits(concurrent, options.quick), concurrent)
            if number:
                _note(
                    cases.setdefault(f"cached answers, {concurrent} at once", Runs()), answers, len(answers) / seconds
                )
    return [], {"port": options.port, "cases": _told(cases)}


def _hits(concurrent: int, quick: bool) -> list[Call]:
    count = HITS.get(concurrent, MOST_HITS) // (8 if quick else 1)
    body = {"messages": [{"role": "user", "content": "¿Cómo se dice perro en bora?"}], "temperature": 0}
    return [Call(GENERATE, body)] * count


def _streams(count: int) -> list[Call]:
    asked = numbered([f"a b c d e f g h [[words:{WORDS}]]"] * count)
    fields = {"stream": True, "temperature": 1.0, "max_new_tokens": WORDS}
    return [Call(GENERATE, {"messages": [{"role": "user", "content": text}], **fields}) for text in asked]


def _note(runs: Runs, answers: list[Answer], per_second: float) -> None:
    runs.per_second.append(per_second)
    runs.p50_ms.append(1000 * statistics.median(answer.seconds for answer in answers))


def _told(cases: dict[str, Runs]) -> dict[str, object]:
    found = {name: runs.summary() for name, runs in cases.items()}
    program.table("one HTTP process", found)
    return dict(found)


def main() -> int:
    """Measure and report."""
    parser = program.parser(__doc__ or "", ROUNDS)
    parser.add_argument("--concurrent", type=int, nargs="+", default=[1, 8, 32], metavar="N", help="(default: 1 8 32)")
    parser.add_argument("--port", type=int, metavar="N", help="ask what listens there on this machine instead")
    options = parser.parse_args()
    return program.main("http_limits", options, lambda: measure(options))


if __name__ == "__main__":
    sys.exit(main())
