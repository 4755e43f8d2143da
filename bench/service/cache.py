"""The caches over HTTP: hits, what keeping an answer costs a miss, identical requests at once, known texts.

    python dev.py bench cache [-- --quick]

One caller on a kept-alive connection, the kinds in turns. What keeping an answer costs is measured on the fake
engine, whose own time is next to nothing: greedy requests that are all different, kept and not kept.
"""

import argparse
from collections import defaultdict

from bench.data.stories import dictionary_lines, stories
from bench.harness import study
from bench.harness.http import CHAT, EMBED, GENERATE, NO_STORE, Call, Caller, MeasuringFailed, call_all
from bench.harness.services import Disturbance, Server, llm_service
from bench.harness.study import Figure, Report, spread_ms

TARGET_MS, IDENTICAL = 3.0, 50
KINDS = {
    "/api": (GENERATE, False),
    "/api, streamed": (GENERATE, True),
    "/v1": (CHAT, False),
    "/v1, streamed": (CHAT, True),
}


Durations = dict[str, list[float]]
"""Seconds by kind of request."""


def question(kind: str, prompt: str, tokens: int, *, kept: bool = True) -> Call:
    """A greedy request of a kind."""
    path, stream = KINDS[kind]
    body: dict[str, object] = {"messages": [{"role": "user", "content": prompt}], "temperature": 0, "stream": stream}
    own = {"max_new_tokens": tokens} if path == GENERATE else {"max_tokens": tokens, "model": "default"}
    return Call(path, {**body, **own}, {} if kept else NO_STORE)


def hits(port: int, count: int) -> Durations:
    """Ask the same question over and over; the answer has been computed once before."""
    found: Durations = defaultdict(list)
    prompt = next(stories())
    with Caller(port) as caller:
        caller.call(question("/api", prompt, 128))
        for number in range(5):
            for kind in study.in_turn(list(KINDS), number):
                for _ in range(count // 5):
                    answer = caller.call(question(kind, prompt, 128))
                    if answer.headers.get("x-cache") != "hit":
                        raise MeasuringFailed(f"X-Cache is {answer.headers.get('x-cache')}, not hit")
                    found[kind].append(answer.seconds)
    return found


def misses(port: int, count: int) -> Durations:
    """Ask different questions of the fake engine, kept and not kept in turns."""
    found: Durations = defaultdict(list)
    prompts = stories()
    with Caller(port) as caller:
        for number in range(count):
            for kind in KINDS:
                for kept in study.in_turn((True, False), number):
                    name = f"{kind}, {'kept' if kept else 'no-store'}"
                    found[name].append(caller.call(question(kind, next(prompts), 4, kept=kept)).seconds)
    return found


def embeddings(port: int, count: int) -> Durations:
    """Embed texts for the first time and again, one and 32 in a request."""
    found: Durations = defaultdict(list)
    with Caller(port) as caller:
        for turn in range(count):
            for texts in (1, 32):
                call = Call(EMBED, {"texts": dictionary_lines(texts, seed=1000 + turn)})
                found[f"{texts} texts, new"].append(caller.call(call).seconds)
                found[f"{texts} texts, known"].extend(caller.call(call).seconds for _ in range(5))
    return found


def single_flight(service: Server, kind: str, seed: int) -> dict[str, float]:
    """Fifty identical new questions at once against one alone: seconds, and the generator's processor time."""
    prompts = stories()
    alone, together = (f"{seed}, {next(prompts)}" for _ in range(2))
    before = service.cpu_seconds()["generator"]
    once, alone_s = call_all(service.port, [question(kind, alone, 96)], 1)
    between = service.cpu_seconds()["generator"]
    answers, all_s = call_all(service.port, [question(kind, together, 96)] * IDENTICAL, IDENTICAL)
    after = service.cpu_seconds()["generator"]
    if len({answer.json()["answer"] for answer in answers}) != 1:
        raise MeasuringFailed("one greedy question had several answers")
    tokens = answers[0].tokens() / max(once[0].tokens(), 1)
    return {
        "alone_s": round(alone_s, 3),
        "all_s": round(all_s, 3),
        "generator_cpu_ratio": round((after - between) / max(between - before, 0.01) / max(tokens, 0.01), 2),
    }


def measure(options: argparse.Namespace) -> Report:
    """Measure everything."""
    count = 50 if options.quick else 200
    with llm_service(options.settings) as service:
        disturbance = Disturbance()
        found = {"hits": hits(service.port, count), "embeddings": embeddings(service.port, max(2, count // 20))}
        flights = {kind: single_flight(service, kind, seed) for seed, kind in enumerate(("/api", "/api, streamed"))}
        busy = disturbance.share()
    with llm_service({"LLM_BACKEND": "fake", "EMBEDDING_BACKEND": "fake"}) as service:
        found["misses on the fake engine"] = misses(service.port, count)
    spreads = {
        title: {kind: spread_ms(seconds) for kind, seconds in durations.items()} for title, durations in found.items()
    }
    for title, rows in (*spreads.items(), ("fifty identical at once", flights)):
        study.print_table(title, rows)
    figures = [
        Figure(f"hit, {kind}, p50", row["p50_ms"], "ms", "<=", TARGET_MS) for kind, row in spreads["hits"].items()
    ]
    figures += [
        Figure(f"{IDENTICAL} identical, {kind}: processor time of one", flight["generator_cpu_ratio"], "x", "<=", 2)
        for kind, flight in flights.items()
    ]
    return Report(figures, {**spreads, "single_flight": flights, "others_busy": busy})
