"""The caches over HTTP: a hit, what a miss costs more, identical requests at once, texts embedded before.

    python dev.py bench cache [-- --quick | --rounds N]

Hits are measured on the embedded models, plain and streamed, by /api and by /v1, from one caller on a
kept-alive connection; in turns, so that a machine that drifts drifts for all. What keeping an answer
costs is measured on the fake engine, whose own time is next to nothing: greedy requests that are all
different, with the cache and kept out of it. The last line on standard output is one JSON object. The
exit status tells whether the measuring worked, not whether the target is reached.
"""

import argparse
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import program
from bench.figures import Figure
from bench.health import queue_of
from bench.processes import Disturbance, MeasuringFailed, Service, llm_service
from bench.questions import numbered, questions
from bench.wire import NO_STORE, Answer, Call, Caller, call_all
from bench.workload import dictionary_lines

ROUNDS = 5
TARGET_MS = 3.0
IDENTICAL = 50
GENERATE, CHAT, EMBED, V1_EMBED = "/api/llm/generate", "/v1/chat/completions", "/api/llm/embed", "/v1/embeddings"
KINDS = {
    "/api": (GENERATE, False),
    "/api streamed": (GENERATE, True),
    "/v1": (CHAT, False),
    "/v1 streamed": (CHAT, True),
}
WARM_UP_SEED = 3


@dataclass(frozen=True)
class Size:
    """Requests of each kind in a round."""

    hits: int
    misses: int
    answer_tokens: int


FULL = Size(hits=200, misses=400, answer_tokens=128)
QUICK = Size(hits=40, misses=60, answer_tokens=48)


def measure(options: argparse.Namespace) -> program.Report:
    """Measure everything; raises ``MeasuringFailed``."""
    size, rounds = (QUICK if options.quick else FULL), program.rounds_of(options)
    with llm_service(program.settings_of(options)) as service:
        service.wait_for("/readyz")
        disturbance = Disturbance([service])
        hits = measure_hits(service.port, size, rounds)
        embedded = measure_embedding_hits(service.port, size, rounds)
        flights = [single_flight(service, size.answer_tokens, stream=stream) for stream in (False, True)]
        busy = round(disturbance.share(), 3)
    with llm_service({"LLM_BACKEND": "fake", "EMBEDDING_BACKEND": "fake"}) as service:
        service.wait_for("/readyz")
        misses = measure_misses(service.port, size, rounds)
    for title, rows in (("response cache, hits", hits), ("embedding cache", embedded), ("fake engine, misses", misses)):
        program.table(title, rows)
    figures = [Figure(f"hit, {kind}, p50", found["p50_ms"], "ms", "<=", TARGET_MS) for kind, found in hits.items()]
    figures += [
        Figure(f"{IDENTICAL} identical at once, most inside, {name}", float(flight["most_inside"]), "requests", "<=", 1)
        for name, flight in zip(("plain", "streamed"), flights, strict=True)
    ]
    details = {"hits": hits, "embeddings": embedded, "single_flight": flights, "misses": misses, "others_busy": busy}
    return figures, dict(details)


def measure_hits(port: int, size: Size, rounds: int) -> dict[str, dict[str, float]]:
    """Ask the same greedy question over and over; the answer has been computed once before."""
    (prompt,) = numbered(questions(1))
    requests = {kind: _call(kind, prompt, size.answer_tokens).encoded() for kind in KINDS}
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with Caller(port) as caller:
        for kind in KINDS:
            program.note(f"{kind}: the first answer took {1000 * caller.call(requests[kind]).seconds:.0f} ms")
        for number in range(rounds):
            for kind in program.in_turn(list(KINDS), number):
                answers = [_hit(caller.call(requests[kind])) for _ in range(size.hits)]
                found[kind] += [answer.seconds for answer in answers]
    return {kind: program.spread_ms(seconds) for kind, seconds in found.items()}


def measure_misses(port: int, size: Size, rounds: int) -> dict[str, dict[str, float]]:
    """Ask different greedy questions of the fake engine, kept and not kept in turns."""
    found: dict[str, list[float]] = {f"{kind}{how}": [] for kind in KINDS for how in ("", ", no-store")}
    with Caller(port) as caller:
        for kind in KINDS:
            asked = numbered(questions(rounds * size.misses))
            for number, prompt in enumerate(asked):
                both: tuple[tuple[str, Mapping[str, str]], ...] = ((kind, {}), (f"{kind}, no-store", NO_STORE))
                for name, headers in program.in_turn(both, number):
                    # The same length, another text: nothing is a hit.
                    text = prompt if headers else prompt[::-1]
                    found[name].append(caller.call(_call(kind, text, 4, headers).encoded()).seconds)
    spreads = {name: program.spread_ms(seconds) for name, seconds in found.items()}
    for kind in KINDS:
        spreads[kind]["more_p50_ms"] = round(spreads[kind]["p50_ms"] - spreads[f"{kind}, no-store"]["p50_ms"], 3)
    return spreads


def measure_embedding_hits(port: int, size: Size, rounds: int) -> dict[str, dict[str, float]]:
    """Have texts embedded for the first time and again, one and 32 in a request."""
    found: dict[str, list[float]] = {}
    with Caller(port) as caller:
        for number in range(rounds):
            for path, field in ((EMBED, "texts"), (V1_EMBED, "input")):
                for texts in (1, 32):
                    for turn in range(max(2, size.hits // 40)):
                        seed = WARM_UP_SEED + turn + 100 * number + (50 if path == EMBED else 0)
                        body: dict[str, object] = {field: dictionary_lines(texts, seed)}
                        request = Call(path, body if path == EMBED else body | {"model": "default"}).encoded()
                        name = f"{path}, {texts} texts"
                        found.setdefault(f"{name}, new", []).append(caller.call(request).seconds)
                        again = [caller.call(request).seconds for _ in range(5)]
                        found.setdefault(f"{name}, known", []).extend(again)
    return {name: program.spread_ms(seconds) for name, seconds in found.items()}


def single_flight(service: Service, tokens: int, *, stream: bool) -> dict[str, float]:
    """Ask the same new question fifty times at once; how many were in the queue or the engine together,
    and what the worker's processor time was, against the same for one request alone.
    """
    kind = "/api streamed" if stream else "/api"
    alone, together = numbered(questions(2, first=40))
    before = service.cpu_seconds()["generator"]
    with Caller(service.port) as caller:
        once = caller.call(_call(kind, alone, tokens).encoded()).seconds
    between = service.cpu_seconds()["generator"]
    with _MostInside(service.port) as watched:
        answers, seconds = call_all(service.port, [_call(kind, together, tokens)] * IDENTICAL, IDENTICAL)
    after = service.cpu_seconds()["generator"]
    texts = {str(answer.json()["answer"]) for answer in answers}
    if len(texts) != 1:
        raise MeasuringFailed(f"{len(texts)} different answers to one greedy question")
    flight = {
        "requests": IDENTICAL,
        "most_inside": watched.most,
        "samples": watched.samples,
        "one_alone_ms": round(1000 * once, 1),
        "all_together_ms": round(1000 * seconds, 1),
        "worker_cpu_one_s": round(between - before, 2),
        "worker_cpu_all_s": round(after - between, 2),
    }
    program.note(f"{IDENTICAL} identical {kind}: {flight}")
    return flight


class _MostInside:
    """Watches how many requests are generated or wait for it, while its ``with`` block runs."""

    def __init__(self, port: int) -> None:
        self.most = self.samples = 0
        self._port = port
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        with Caller(self._port) as caller:
            while not self._done.is_set():
                queue = queue_of(caller)
                self.most = max(self.most, queue.running + queue.waiting)
                self.samples += 1
                time.sleep(0.005)


def _call(kind: str, prompt: str, tokens: int, headers: Mapping[str, str] | None = None) -> Call:
    path, stream = KINDS[kind]
    body: dict[str, object] = {"messages": [{"role": "user", "content": prompt}], "temperature": 0, "stream": stream}
    own = {"max_new_tokens": tokens} if path == GENERATE else {"max_tokens": tokens, "model": "default"}
    return Call(path, body | own, headers or {})


def _hit(answer: Answer) -> Answer:
    if answer.headers.get("x-cache") != "hit":
        raise MeasuringFailed(f"X-Cache is {answer.headers.get('x-cache')}, not hit")
    return answer


def main() -> int:
    """Measure and report."""
    options = program.parser(__doc__ or "", ROUNDS).parse_args()
    return program.main("cache", options, lambda: measure(options))


if __name__ == "__main__":
    sys.exit(main())
