"""How soon a request whose caller hangs up has freed its place: queued, while its prompt is read, while it is answered.

    python dev.py bench cancel [-- --quick | --rounds N]

The service generates one answer at a time (LLM_MAX_BATCH=1), so that the next one cannot begin before
the place is free. In each phase a caller closes its connection, and two things are timed, in trials of
their own: until /api/llm/health no longer counts the request, and until the next request has its first
token, less what that takes on an idle service. The prompt that is read has 1,900 tokens. The last line
on standard output is one JSON object. The exit status tells whether the measuring worked, not whether
the target is reached.
"""

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import program
from bench.figures import Figure
from bench.health import Queue, wait_for_queue
from bench.long_prompts import LongPrompts
from bench.processes import Disturbance, MeasuringFailed, llm_service
from bench.questions import TEMPERATURE, TOP_P, numbered, questions
from bench.wire import NO_STORE, Call, Caller, checked

TRIALS = 20
TARGET_S = 1.0
LONG_PROMPT_TOKENS = 1900
LONG_ANSWER, SHORT_ANSWER = 1024, 32
DELTAS_BEFORE_LEAVING = 5
PARTS_OF_PREFILL = (0.1, 0.25, 0.4, 0.55, 0.7)
"""When callers leave while their prompt is read, as parts of the time that takes."""
MOST_RETRIES = 50


class Trials:
    """Single trials; each leaves the service idle."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._asked = itertools.count()
        self._parts = itertools.cycle(PARTS_OF_PREFILL)
        self._long = LongPrompts(port, LONG_PROMPT_TOKENS)
        self.prompt_tokens = 0
        self._prefill_s = statistics.median(self._time_prefill() for _ in range(3))

    def idle(self) -> float:
        """Seconds to the first token of a short question on the idle service."""
        self._wait(lambda queue: queue == (0, 0))
        with Caller(self._port) as caller:
            answer = caller.call(self._short(SHORT_ANSWER))
        return answer.first_s

    def freed(self, leave: Callable[[], float]) -> float:
        """Seconds until the request that left is no longer counted; ``leave`` returns when it did."""
        self._wait(lambda queue: queue == (0, 0))
        left_at = leave()
        return wait_for_queue(self._port, lambda queue: queue == (0, 0)) - left_at

    def next_begins(self, leave: Callable[[], float]) -> float:
        """Seconds from the leaving until the next request has its first token."""
        self._wait(lambda queue: queue == (0, 0))
        with Caller(self._port) as following:
            request = self._short(SHORT_ANSWER)
            left_at = leave()
            following.send(request)
            first_at = following.wait_for_body()
            checked(following.rest())
        return first_at - left_at

    def freed_while_queued(self) -> float:
        """Seconds until a request that waited behind another is no longer counted."""
        self._wait(lambda queue: queue == (0, 0))
        with Caller(self._port) as running, Caller(self._port) as queued:
            running.send(self._short(LONG_ANSWER))
            running.wait_for_body()
            queued.send(self._short(LONG_ANSWER))
            self._wait(lambda queue: queue == (1, 1))
            left_at = time.perf_counter()
            queued.close()
            return self._wait(lambda queue: queue.waiting == 0) - left_at

    def next_begins_after_queued(self) -> float:
        """Seconds from the end of the answer before it until a request that stood behind one that left has
        its first token: no token is computed for the one that left.
        """
        self._wait(lambda queue: queue == (0, 0))
        with Caller(self._port) as running, Caller(self._port) as queued, Caller(self._port) as following:
            running.send(self._short(2 * SHORT_ANSWER))
            running.wait_for_body()
            queued.send(self._short(LONG_ANSWER))
            self._wait(lambda queue: queue.waiting == 1)
            following.send(self._short(SHORT_ANSWER))
            self._wait(lambda queue: queue.waiting == 2 or queue.running == 0)
            queued.close()
            ended = checked(running.rest())
            first_at = following.wait_for_body()
            checked(following.rest())
        return first_at - ended.done_at

    def leave_prefill(self) -> float:
        """Leave while a long prompt is read; returns the moment."""
        for _ in range(MOST_RETRIES):
            with Caller(self._port) as leaving:
                leaving.send(self._long.new().call(0, SHORT_ANSWER).encoded())
                time.sleep(self._prefill_s * next(self._parts))
                if not leaving.has_received():
                    left_at = time.perf_counter()
                    leaving.close()
                    return left_at
            # It has its first token already: the machine was quicker than before.
            self._wait(lambda queue: queue == (0, 0))
        raise MeasuringFailed("no request could be left while its prompt was read")

    def leave_stream(self) -> float:
        """Leave a stream after some of its text; returns the moment."""
        with Caller(self._port) as leaving:
            leaving.send(self._short(LONG_ANSWER))
            for _ in range(DELTAS_BEFORE_LEAVING):
                leaving.receive()
            left_at = time.perf_counter()
            leaving.close()
        return left_at

    def leave_plain(self) -> float:
        """Leave while a plain answer is generated, of which the caller has seen nothing; returns the moment."""
        with Caller(self._port) as leaving:
            leaving.send(self._short(LONG_ANSWER, stream=False))
            self._wait(lambda queue: queue.running == 1)
            # By then a prompt of this length has been read.
            time.sleep(0.3)
            if leaving.has_received():
                raise MeasuringFailed(f"an answer of {LONG_ANSWER} tokens was over within 0.3 s")
            left_at = time.perf_counter()
            leaving.close()
        return left_at

    def _wait(self, wanted: Callable[[Queue], bool]) -> float:
        return wait_for_queue(self._port, wanted)

    def _short(self, tokens: int, *, stream: bool = True) -> bytes:
        (prompt,) = numbered(questions(1, next(self._asked)))
        fields = {"max_new_tokens": tokens, "temperature": TEMPERATURE, "top_p": TOP_P, "stream": stream}
        return Call(
            "/api/llm/generate", {"messages": [{"role": "user", "content": prompt}], **fields}, NO_STORE
        ).encoded()

    def _time_prefill(self) -> float:
        with Caller(self._port) as caller:
            answer = caller.call(self._long.new().call(0, 1).encoded())
        self.prompt_tokens = int(answer.json()["usage"]["prompt_tokens"])
        return answer.first_s


def measure(options: argparse.Namespace) -> program.Report:
    """Run all trials, the phases in turn; raises ``MeasuringFailed``."""
    settings = {"LLM_MAX_BATCH": "1", "EMBEDDING_BACKEND": "fake", **program.settings_of(options)}
    count = 3 if options.quick and not options.rounds else program.rounds_of(options)
    with llm_service(settings) as service:
        service.wait_for("/readyz")
        trials = Trials(service.port)
        program.note(f"the long prompt has {trials.prompt_tokens} tokens")
        disturbance = Disturbance([service])
        leaving = {
            "prefill": trials.leave_prefill,
            "decode, streamed": trials.leave_stream,
            "decode, plain": trials.leave_plain,
        }
        freed: dict[str, list[float]] = {}
        begins: dict[str, list[float]] = {}
        idle: list[float] = []
        for number in range(1, count + 1):
            idle.append(trials.idle())
            freed.setdefault("queued", []).append(trials.freed_while_queued())
            begins.setdefault("queued", []).append(trials.next_begins_after_queued())
            for phase, leave in leaving.items():
                freed.setdefault(phase, []).append(trials.freed(leave))
                begins.setdefault(phase, []).append(trials.next_begins(leave))
            program.note(f"trial {number}: freed after " + _listed(freed) + "; next begins after " + _listed(begins))
        busy = round(disturbance.share(), 3)
    return _report(freed, begins, idle, {"trials": count, "prompt_tokens": trials.prompt_tokens, "others_busy": busy})


def _report(
    freed: dict[str, list[float]], begins: dict[str, list[float]], idle: list[float], details: dict[str, object]
) -> program.Report:
    usual = statistics.median(idle)
    later = {phase: [one - usual for one in values] for phase, values in begins.items()}
    tables = {
        "until /api/llm/health no longer counts it": freed,
        "until the next has its first token": {"idle service": idle, **begins},
        "the same, less the idle service's median": later,
    }
    spreads = {
        title: {phase: program.spread_ms(values) for phase, values in rows.items()} for title, rows in tables.items()
    }
    for title, rows in spreads.items():
        program.table(title, rows)
    figures = [
        Figure(f"{phase}: {what}, longest", max(values[phase]), "s", "<=", TARGET_S)
        for phase in freed
        for what, values in (("freed", freed), ("next is later by", later))
    ]
    return figures, {"times": spreads, **details}


def _listed(times: dict[str, list[float]]) -> str:
    return ", ".join(f"{phase} {1000 * values[-1]:.0f} ms" for phase, values in times.items())


def main() -> int:
    """Measure and report."""
    options = program.parser(__doc__ or "", TRIALS).parse_args()
    return program.main("cancel", options, lambda: measure(options))


if __name__ == "__main__":
    sys.exit(main())
