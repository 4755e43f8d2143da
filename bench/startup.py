"""How soon the LLM service is live and ready with everything cached, and its memory when idle.

    python dev.py bench startup [-- --rounds N | --up]

One start beforehand is not counted: it fills the caches. ``--up`` measures ``dev.py up`` too, the
second time, from the command to both services ready; that takes the ports 18000 and 18001, and
sets up what is missing first. The last line on standard output is one JSON object. The exit
status tells whether the measuring worked, not whether the targets are reached.
"""

import argparse
import signal
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.figures import Figure, print_figures, print_summary
from bench.processes import ROOT, MeasuringFailed, ProcessMemory, Service, answers, llm_service, machine

SETTLE_S = 2.0
BACKEND_PORT, LLM_PORT = 18000, 18001
FIRST_UP_TIMEOUT_S = 900.0


@dataclass(frozen=True)
class Start:
    """Seconds from the start of the process to the first 200, and the memory some time after."""

    live_s: float
    ready_s: float
    memory: list[ProcessMemory]


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, choices=range(1, 21), metavar="N", help="starts (default: 3)")
    parser.add_argument("--quick", action="store_true", help="one start")
    parser.add_argument("--up", action="store_true", help="measure the second `dev.py up` as well")
    options = parser.parse_args()
    # `dev.py bench` ends its benchmarks so; the services must not outlive them.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    where = machine()
    print(f"machine: {where}")
    try:
        start_service()
        starts = [start_service() for _ in range(1 if options.quick else options.rounds)]
        up_s = second_up() if options.up else None
    except (MeasuringFailed, psutil.Error) as error:
        print(f"The measuring failed: {error}", file=sys.stderr)
        return 1
    figures = [
        Figure("/livez answers after", statistics.median(start.live_s for start in starts), "s", "<=", 1.2),
        Figure("/readyz answers after", statistics.median(start.ready_s for start in starts), "s", "<=", 12),
    ]
    if up_s is not None:
        figures.append(Figure("second dev.py up, both ready after", up_s, "s", "<=", 25))
    idle = starts[-1].memory
    for process in idle:
        print(f"idle: {process.role:<12} PSS {process.pss:.0f} MB, of it alone {process.uss:.0f} MB")
    print_figures(figures)
    details: dict[str, object] = {
        "machine": where,
        "live_s": [round(start.live_s, 3) for start in starts],
        "ready_s": [round(start.ready_s, 3) for start in starts],
        "idle_memory_mb": {"total_pss": round(sum(p.pss for p in idle), 1), "processes": [asdict(p) for p in idle]},
    }
    print_summary("startup", figures, details)
    return 0


def start_service() -> Start:
    """Start the LLM service once, with the embedded models."""
    with llm_service() as service:
        live = service.wait_for("/livez")
        ready = service.wait_for("/readyz")
        time.sleep(SETTLE_S)
        memory = service.memory()
    print(f"live after {live:.2f} s, ready after {ready:.2f} s", flush=True)
    return Start(live, ready, memory)


def second_up() -> float:
    """Seconds from ``dev.py up`` to both services ready, when it has run before."""
    for port in (LLM_PORT, BACKEND_PORT):
        if answers(port, "/livez"):
            raise MeasuringFailed(f"port {port} is taken")
    seconds = 0.0
    for time_limit_s in (FIRST_UP_TIMEOUT_S, 180.0):
        with _up() as up:
            seconds = max(
                up.wait_for("/readyz", time_limit_s, port=LLM_PORT),
                up.wait_for("/readyz", time_limit_s, port=BACKEND_PORT),
            )
        print(f"dev.py up: both ready after {seconds:.1f} s", flush=True)
    return seconds


def _up() -> Service:
    ports = ("--llm-port", str(LLM_PORT), "--backend-port", str(BACKEND_PORT))
    variables = {"LLM_MODEL": "embedded", "EMBEDDING_MODEL": "embedded"}
    return Service("dev.py up", (sys.executable, "dev.py", "up", *ports), ROOT, variables, BACKEND_PORT, 30.0)


if __name__ == "__main__":
    sys.exit(main())
