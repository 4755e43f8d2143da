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
from collections.abc import Iterator
from pathlib import Path

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
TARGET = 0.7
"""Share of the requests a second that is left with every request traced."""
_BODY = {"messages": [{"role": "user", "content": "uno dos tres"}], "temperature": 0, "max_new_tokens": 16}


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
        rates: dict[str, list[float]] = {name: [] for name in services}
        for number in range(rounds):
            for name in program.in_turn(list(services), number):
                rates[name].append(_ask(services[name], requests))
        busy = round(disturbance.share(), 3)
        bodies = collector.bodies
    if not bodies:
        raise MeasuringFailed("no span has arrived")
    middle = {name: statistics.median(found) for name, found in rates.items()}
    # Of each round by itself: what is compared has met the same machine.
    shares = {
        name: statistics.median(one / none for one, none in zip(rates[name], rates["off"], strict=True))
        for name in ("on", "one in ten")
    }
    program.table("answers from the cache", {name: {"per_s": round(rate, 1)} for name, rate in middle.items()})
    figures = [
        Figure(f"requests/s, tracing {name}, of those with none", share, "×", ">=", TARGET)
        for name, share in shares.items()
    ]
    return figures, {"per_s": middle, "others_busy": busy, "requests": requests, "callers": CALLERS}


def _ask(service: Service, requests: int) -> float:
    """Return requests a second."""
    answers, seconds = call_all(service.port, [Call("/api/llm/generate", _BODY)] * requests, CALLERS)
    if answers[-1].headers.get("x-cache") != "hit":
        raise MeasuringFailed("the answers do not come from the cache")
    return requests / seconds


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
