"""What tracing costs: answers from the cache a second with every request traced, with one in ten, and with none.

    python dev.py bench tracing [-- --quick | --rounds N]

An answer from the cache is the shortest request there is, so the share of it that a span takes is the largest. The
services run the fake engines and are asked in turns, so that a machine that drifts drifts for all; the spans go to a
collector in the benchmark's own process, which reads and forgets them. The last line on standard output is one JSON
object. The exit status tells whether the measuring worked, not whether the target is reached.
"""

import argparse
import contextlib
import http.server
import statistics
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import program
from bench.figures import Figure
from bench.processes import HOST, Disturbance, MeasuringFailed, Service, llm_service
from bench.wire import Call, call_all

ROUNDS = 15
CALLERS = 8
REQUESTS, QUICK_REQUESTS = 800, 200
FAKE = {"LLM_BACKEND": "fake", "EMBEDDING_BACKEND": "fake"}
TENTH = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"}
TARGET_US = 500.0
"""Of the HTTP process. Requests a second depend too much on who else is on the machine."""
_BODY = {"messages": [{"role": "user", "content": "uno dos tres"}], "temperature": 0, "max_new_tokens": 16}


class Rate(NamedTuple):
    """Requests a second, and the HTTP process's processor time for one."""

    per_s: float
    processor_us: float


def measure(options: argparse.Namespace) -> program.Report:
    """Measure everything; raises ``MeasuringFailed``."""
    requests, rounds = (QUICK_REQUESTS if options.quick else REQUESTS), program.rounds_of(options)
    with contextlib.ExitStack() as stack:
        collector = stack.enter_context(_collector())
        on = {"TRACING": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{HOST}:{collector.server_port}"}
        own = program.settings_of(options)
        settings = {"off": {}, "on": on, "one in ten": on | TENTH}
        services = {name: stack.enter_context(llm_service(FAKE | more | own)) for name, more in settings.items()}
        for service in services.values():
            service.wait_for("/readyz")
            _ask(service, 2 * CALLERS)
        disturbance = Disturbance(list(services.values()))
        found: dict[str, list[Rate]] = {name: [] for name in services}
        for number in range(rounds):
            for name in program.in_turn(list(services), number):
                found[name].append(_ask(services[name], requests))
        busy = round(disturbance.share(), 3)
        bodies = collector.bodies
    if not bodies:
        raise MeasuringFailed("no span has arrived")
    rows = {name: _row(rates, found["off"]) for name, rates in found.items()}
    program.table("answers from the cache", rows)
    figures = [
        Figure(f"more processor time, tracing {name}", row["more_processor_us"], "µs a request", "<=", TARGET_US)
        for name, row in rows.items()
        if name != "off"
    ]
    return figures, {"found": rows, "others_busy": busy, "requests": requests, "callers": CALLERS}


def _row(rates: Sequence[Rate], plain: Sequence[Rate]) -> dict[str, float]:
    # Each round is compared by itself: its services have met the same machine.
    rounds = list(zip(rates, plain, strict=True))
    return {
        "per_s": round(statistics.median(rate.per_s for rate in rates), 1),
        "of_off": round(statistics.median(rate.per_s / none.per_s for rate, none in rounds), 3),
        "more_processor_us": round(
            statistics.median(rate.processor_us - none.processor_us for rate, none in rounds), 1
        ),
    }


def _ask(service: Service, requests: int) -> Rate:
    before = service.cpu_seconds()["http"]
    answers, seconds = call_all(service.port, [Call("/api/llm/generate", _BODY)] * requests, CALLERS)
    processor_s = service.cpu_seconds()["http"] - before
    if answers[-1].headers.get("x-cache") != "hit":
        raise MeasuringFailed("the answers do not come from the cache")
    return Rate(requests / seconds, 1e6 * processor_s / requests)


class _Collector(http.server.ThreadingHTTPServer):
    daemon_threads = True
    bodies = 0


class _Forgetting(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        assert isinstance(self.server, _Collector)
        self.server.bodies += 1
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        pass


@contextlib.contextmanager
def _collector() -> Iterator[_Collector]:
    with _Collector((HOST, 0), _Forgetting) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def main() -> int:
    """Measure and report."""
    options = program.parser(__doc__ or "", ROUNDS).parse_args()
    return program.main("tracing", options, lambda: measure(options))


if __name__ == "__main__":
    sys.exit(main())
