"""What the backend's local model costs the API: on a thread of its process, and in a process of its own.

    python dev.py bench local_fallback [-- --quick | --rounds N]

Two backends, one after the other in each round, with the same model and a LLM service that is not there.
``/livez`` is asked every 10 ms while nothing happens, while the first answer loads the model, and while
answers are generated; memory is measured before and after. The last line on standard output is one JSON
object. The exit status tells whether the measuring worked, not whether the targets are reached.
"""

# environment: backend

import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psutil

from bench import program
from bench.figures import Figure
from bench.loadgen import Prober, percentile, post_all
from bench.processes import Disturbance, MeasuringFailed, Service, free_port
from devtools.layout import Workspace

ROOT = Path(__file__).resolve().parent.parent
PROBE_EVERY_S = 0.01
QUIET_S = 5.0
IDLE_S = 5.0
TOKENS = 64
SIDES = ("thread", "process")
QUESTION = json.dumps({"query": "¿Cómo se dice perro en bora?"}).encode()
MB = 1e6


@dataclass
class Side:
    """One side's values, one a round; memory in MB of PSS (RSS where the system does not tell)."""

    api_before: list[float] = field(default_factory=list)
    api_after: list[float] = field(default_factory=list)
    models: list[float] = field(default_factory=list)
    all_after_idling: list[float] = field(default_factory=list)
    first_answer_s: list[float] = field(default_factory=list)
    tokens_per_second: list[float] = field(default_factory=list)
    livez_ms: dict[str, list[float]] = field(default_factory=lambda: {"quiet": [], "loading": [], "answering": []})

    def summary(self) -> dict[str, object]:
        """All of it, for the line of JSON."""
        values = {
            "api_before_mb": self.api_before,
            "api_after_mb": self.api_after,
            "models_process_mb": self.models,
            "all_after_idling_mb": self.all_after_idling,
            "first_answer_s": self.first_answer_s,
            "tokens_per_second": self.tokens_per_second,
        }
        found = {name: program.series(of, 1) for name, of in values.items() if of}
        return {**found, "livez": {phase: latency(of) for phase, of in self.livez_ms.items()}}


def latency(values: list[float]) -> dict[str, float]:
    """Percentiles of milliseconds."""
    shares = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99, "max_ms": 1.0}
    return {"n": len(values), **{name: round(percentile(values, share), 1) for name, share in shares.items()}}


@contextmanager
def backend(side: str) -> Iterator[Service]:
    """A backend with a database of its own, the embedded model unpacked as set-up leaves it, and no service."""
    workspace, port = Workspace(ROOT), free_port()
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        # The embedded database gives up root's rights and must still reach its folder.
        Path(name).chmod(0o755)
        unpacked = sorted((workspace.data / "models").glob("SmolLM2*"), key=lambda path: path.stat().st_mtime)
        if unpacked:
            shutil.copytree(unpacked[-1], Path(name, "models", unpacked[-1].name))
        variables = {
            "BACKEND_PORT": str(port),
            "DATA_DIR": name,
            "LLM_MODEL": "embedded",
            "LLM_SERVICE_URL": f"http://127.0.0.1:{free_port()}",
            "LLM_LOCAL_IDLE_TIMEOUT": str(IDLE_S),
            "LLM_MAX_NEW_TOKENS": str(TOKENS),
            "LOG_LEVEL": "ERROR",
        }
        script = "main.py" if side == "process" else ROOT / "bench" / "baselines" / "thread_fallback.py"
        command = (workspace.backend.python, script)
        with Service(f"backend, {side}", command, workspace.backend.folder, variables, port) as service:
            service.wait_for("/readyz")
            yield service


def measure_side(side: str, into: Side, answers: int) -> float:
    """Measure one backend from its start to its end; returns what others took of the processors."""
    with backend(side) as service:
        disturbance = Disturbance([service])
        into.api_before.append(api_memory(service))
        with Prober(service.port, "/livez", PROBE_EVERY_S) as prober:
            time.sleep(QUIET_S)
        into.livez_ms["quiet"] += prober.latencies_ms

        with Prober(service.port, "/livez", PROBE_EVERY_S) as prober:
            into.first_answer_s.append(ask(service)[0])
        into.livez_ms["loading"] += prober.latencies_ms

        with Prober(service.port, "/livez", PROBE_EVERY_S) as prober:
            into.tokens_per_second.append(statistics.median(ask(service)[1] for _ in range(answers)))
        into.livez_ms["answering"] += prober.latencies_ms

        into.api_after.append(api_memory(service))
        share = disturbance.share()
        if side == "process":
            into.models.append(sum(memory(process) for process in models(service)))
            wait_until_released(service)
            into.all_after_idling.append(api_memory(service))
        return share


def ask(service: Service) -> tuple[float, float]:
    """Return how long an answer of the local model took in seconds, and its tokens per second."""
    (reply,) = post_all(service.port, "/api/rag/query", [QUESTION], 1).replies
    answer = json.loads(reply.body)
    if answer["served_by"] != "local":
        raise MeasuringFailed(f"the local model did not answer\n{service.log_tail()}")
    return reply.seconds, float(answer["timings"]["tokens_per_second"])


def models(service: Service) -> list[psutil.Process]:
    """The process of the local models, while there is one."""
    return [process for process in service.processes() if "adapters.local_child" in process.cmdline()]


def wait_until_released(service: Service) -> None:
    """Wait until the models' process has ended."""
    deadline = time.perf_counter() + IDLE_S + 30
    while models(service):
        if time.perf_counter() > deadline:
            raise MeasuringFailed("the local models were not released")
        time.sleep(0.1)


def api_memory(service: Service) -> float:
    """Memory of the API process in MB."""
    return memory(service.processes()[0])


def memory(process: psutil.Process) -> float:
    """Memory of a process in MB."""
    info = process.memory_full_info()
    return float(round(getattr(info, "pss", info.rss) / MB, 1))


def main() -> int:
    """Measure and report; returns the exit status."""
    options = program.parser("What the backend's local model costs the API.", rounds=3).parse_args()
    return program.main("local_fallback", options, lambda: measure(program.rounds_of(options), options.quick))


def measure(rounds: int, quick: bool) -> program.Report:
    """Let the sides take turns."""
    sides = {name: Side() for name in SIDES}
    busy: list[float] = []
    for number in range(rounds):
        for name in program.in_turn(SIDES, number):
            program.note(f"round {number + 1} of {rounds}: {name}")
            busy.append(round(measure_side(name, sides[name], answers=3 if quick else 10), 3))
    for name, side in sides.items():
        program.table(name, {phase: latency(values) for phase, values in side.livez_ms.items()})
    ours = sides["process"]
    figures = [
        Figure("/livez p99 while answering", percentile(ours.livez_ms["answering"], 0.99), "ms", "<=", 50),
        Figure("/livez p99 while loading", percentile(ours.livez_ms["loading"], 0.99), "ms", "<=", 50),
        Figure("memory the API gained", statistics.median(ours.api_after) - ours.api_before[0], "MB", "<=", 10),
    ]
    return figures, {"others_busy": busy, **{name: side.summary() for name, side in sides.items()}}


if __name__ == "__main__":
    sys.exit(main())
