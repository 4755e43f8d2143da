"""The LLM service with another server as its generator, against that server asked directly.

    python dev.py bench upstream [-- --quick | --rounds N | --concurrent 1 8 | --tokens 64]
    python dev.py bench upstream -- --upstream http://127.0.0.1:8900 [--upstream-key KEY | --upstream-model NAME]

Without ``--upstream`` the other server is a second instance of this service with the embedded model, so that
anybody can run it; with it, any OpenAI-compatible server on this machine (vLLM: docs/scaling.md). Both are asked
``POST /v1/chat/completions`` with the same questions, plainly and streamed, in turns: while one is asked the other
is idle. Sampled without a seed and with Cache-Control: no-store, so that every answer is computed; what is counted
are the tokens that were really generated. The last line on standard output is one JSON object. The exit status
tells whether the measuring worked, not whether the targets are reached.
"""

import argparse
import contextlib
import http.client
import json
import statistics
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import program
from bench.figures import Figure
from bench.processes import HOST, Disturbance, MeasuringFailed, Service, llm_service
from bench.questions import TEMPERATURE, TOP_P, numbered, questions
from bench.wire import NO_STORE, Answer, Call, call_all

ROUNDS = 5
TARGET = 0.95
CHAT = "/v1/chat/completions"
QUESTIONS = {1: 4, 8: 24, 32: 64}
"""Questions a run, by how many are asked at once."""
WAYS = ("plain", "streamed")
SIDES = ("bare", "through")


@dataclass(frozen=True)
class Place:
    """Somewhere to ask, on this machine."""

    port: int
    model: str
    headers: Mapping[str, str]


@dataclass
class Side:
    """What came of asking one place in one case, a value for each round."""

    rate: list[float] = field(default_factory=list)
    first_ms: list[float] = field(default_factory=list)
    front_cpu_per_1000: list[float] = field(default_factory=list)
    answers: int = 0
    full_length: int = 0

    def add(self, answers: list[Answer], seconds: float, tokens_asked: int, front_cpu: float) -> None:
        """Note a run."""
        generated = [answer.json()["usage"]["completion_tokens"] for answer in answers]
        self.rate.append(sum(generated) / seconds)
        self.first_ms.append(1000 * statistics.median(answer.first_s for answer in answers))
        self.front_cpu_per_1000.append(1000 * front_cpu / sum(generated))
        self.answers += len(generated)
        self.full_length += sum(tokens == tokens_asked for tokens in generated)

    def summary(self) -> dict[str, object]:
        """Medians, and every round's value."""
        return {
            "tok_s": program.series(self.rate, 1),
            "first_byte_p50_ms": program.series(self.first_ms, 1),
            "front_cpu_s_per_1000_tokens": program.series(self.front_cpu_per_1000),
            "full_length_share": round(self.full_length / self.answers, 3),
        }


@dataclass(frozen=True)
class Case:
    """So many questions at once, asked plainly or streamed."""

    concurrent: int
    way: str

    @property
    def name(self) -> str:
        """For tables and JSON."""
        return f"{self.concurrent} concurrent, {self.way}"


Cases = dict[Case, dict[str, Side]]


class Bench:
    """Both places, up and loaded; ``front`` is the service between."""

    def __init__(self, places: Mapping[str, Place], front: Service, tokens: int, quick: bool) -> None:
        self._places, self._front, self._tokens, self._quick = places, front, tokens, quick
        self._asked = 0

    def round(self, number: int, cases: Cases) -> None:
        """Run every case on both sides, the sides in turn."""
        for case, sides in cases.items():
            count = case.concurrent if self._quick else QUESTIONS.get(case.concurrent, 2 * case.concurrent)
            asked = questions(count, self._asked)
            self._asked += count
            for name in program.in_turn(SIDES, number):
                self._ask(case, self._places[name], numbered(asked), sides[name])
            rates = ", ".join(f"{name} {sides[name].rate[-1]:.1f}" for name in SIDES)
            program.note(f"round {number}, {case.name}: {rates} tok/s")

    def _ask(self, case: Case, place: Place, prompts: tuple[str, ...], side: Side) -> None:
        more = {"stream": True, "stream_options": {"include_usage": True}} if case.way == "streamed" else {}
        fields = {"model": place.model, "max_tokens": self._tokens, "temperature": TEMPERATURE, "top_p": TOP_P, **more}
        calls = [
            Call(CHAT, {"messages": [{"role": "user", "content": prompt}], **fields}, {**NO_STORE, **place.headers})
            for prompt in prompts
        ]
        before = self._front.cpu_seconds()["http"]
        answers, seconds = call_all(place.port, calls, case.concurrent)
        side.add(answers, seconds, self._tokens, self._front.cpu_seconds()["http"] - before)


def measure(options: argparse.Namespace) -> program.Report:
    """Run every round; raises ``MeasuringFailed``."""
    most = str(max(options.concurrent))
    common = {"LLM_MAX_BATCH": most, "EMBEDDING_BACKEND": "fake"}
    with contextlib.ExitStack() as stack:
        ours: list[Service] = []
        if options.upstream:
            bare = _given(options)
        else:
            ours.append(stack.enter_context(llm_service({**common, **program.settings_of(options)})))
            ours[0].wait_for("/readyz")
            bare = Place(ours[0].port, _first_model(ours[0].port, {}), {})
        front = stack.enter_context(llm_service({**common, **_front_settings(options, bare)}))
        front.wait_for("/readyz")
        bench = Bench({"bare": bare, "through": Place(front.port, "default", {})}, front, options.tokens, options.quick)
        cases = _cases(options)
        bench.round(0, _cases(options))
        disturbance = Disturbance((front, *ours))
        for number in range(1, program.rounds_of(options) + 1):
            bench.round(number, cases)
        # Of a server that was there already the processes are not known: it would count among the others.
        others = round(disturbance.share(), 3) if ours else None
    details = {case.name: {name: side.summary() for name, side in sides.items()} for case, sides in cases.items()}
    for name, rows in details.items():
        program.table(name, rows)
    return _figures(cases), {"others_busy": others, "upstream": options.upstream or "this service", "cases": details}


def _cases(options: argparse.Namespace) -> Cases:
    wanted = [Case(concurrent, way) for concurrent in options.concurrent for way in WAYS]
    return {case: {name: Side() for name in SIDES} for case in wanted}


def _figures(cases: Cases) -> list[Figure]:
    return [
        Figure(
            f"{case.name}, through / bare",
            program.median_ratio(sides["through"].rate, sides["bare"].rate),
            "x",
            ">=",
            TARGET,
        )
        for case, sides in cases.items()
    ]


def _front_settings(options: argparse.Namespace, bare: Place) -> dict[str, str]:
    settings = {
        "LLM_BACKEND": "openai",
        "LLM_UPSTREAM_URL": f"http://{HOST}:{bare.port}",
        "LLM_UPSTREAM_MODEL": bare.model,
    }
    return settings | ({"LLM_UPSTREAM_API_KEY": options.upstream_key} if options.upstream_key else {})


def _given(options: argparse.Namespace) -> Place:
    """The server that was named, and its model; raises ``MeasuringFailed``."""
    parts = urlsplit(options.upstream)
    if parts.scheme != "http" or parts.hostname not in (HOST, "localhost") or parts.path.rstrip("/"):
        raise MeasuringFailed(f"--upstream must be http://{HOST}:PORT: both are measured on one machine")
    port = parts.port or 80
    headers = {"Authorization": f"Bearer {options.upstream_key}"} if options.upstream_key else {}
    return Place(port, options.upstream_model or _first_model(port, headers), headers)


def _first_model(port: int, headers: Mapping[str, str]) -> str:
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request("GET", "/v1/models", headers=dict(headers))
        response = connection.getresponse()
        body = response.read()
        if response.status != http.client.OK:
            raise MeasuringFailed(f"/v1/models answers {response.status}, {body[:300]!r}")
        return str(json.loads(body)["data"][0]["id"])
    except (http.client.HTTPException, ValueError, KeyError, IndexError) as error:
        raise MeasuringFailed(f"/v1/models: {error}") from error
    finally:
        connection.close()


def main() -> int:
    """Measure and report."""
    parser = program.parser(__doc__ or "", ROUNDS)
    parser.add_argument("--concurrent", type=int, nargs="+", default=[1, 8], metavar="N", help="(default: 1 8)")
    parser.add_argument("--tokens", type=int, default=64, metavar="N", help="new tokens (default: 64)")
    parser.add_argument("--upstream", metavar="URL", help="an OpenAI-compatible server on this machine")
    parser.add_argument("--upstream-key", metavar="KEY", help="its key")
    parser.add_argument("--upstream-model", metavar="NAME", help="its model (default: the first that it lists)")
    options = parser.parse_args()
    return program.main("upstream", options, lambda: measure(options))


if __name__ == "__main__":
    sys.exit(main())
