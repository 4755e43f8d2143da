"""The service against other servers on the same model file, in turns: one stream, eight, prompts, a class's day.

    python dev.py bench peers [-- --quick] [--model FILE.gguf] [--vllm-url URL]

Sides: this service; llama.cpp's server inside the library that the service uses (``library``); a vLLM that already
runs on this machine.

Everything is asked by ``/v1/chat/completions``, greedily. Only the class's day may be answered by the service's
response cache: that day is the same for all sides, repeated questions included.
"""

import argparse
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from bench.harness import study
from bench.harness.http import MeasuringFailed
from bench.harness.services import Server, embedded_gguf, llama_library, llm_service
from bench.harness.study import Figure, Report, Study
from bench.service.asking import Target

ROUNDS = 2
RATE, DAY_RATE, DAY_FIRST = 0.95, 1.8, 0.6
EIGHT = 8


def measure(options: argparse.Namespace) -> Report:
    """Start every side, let them take turns."""
    model = embedded_gguf() if options.model == "embedded" else Path(options.model).resolve()
    with ExitStack() as stack:
        settings = {"LLM_MODEL": str(options.model), "EMBEDDING_BACKEND": "fake", **options.settings}
        servers: dict[str, Server] = {"service": llm_service(settings)}
        if model.is_file():
            servers["library"] = llama_library(model)
        ready = {name: round(stack.enter_context(server).ready_s, 2) for name, server in servers.items()}
        sides = {name: Target(server.port) for name, server in servers.items()}
        if options.vllm_url:
            sides["vllm"] = Target(urlsplit(options.vllm_url).port or 8000)
        if len(sides) == 1:
            raise MeasuringFailed("there is nothing to compare with: give a GGUF file or --vllm-url")
        for side in sides.values():
            side.burst(EIGHT, EIGHT, 8)
        found = Study(sides)
        found.run(_cases(options.quick), options.rounds)
        memory = {name: server.memory_mb() for name, server in servers.items()}
    found.print_tables()
    study.print_table("memory afterwards, MB", memory)
    others = [name for name in sides if name != "service"]
    return Report(
        [figure for other in others for figure in _figures(found, other)],
        {**found.details(), "memory_mb": memory, "ready_s": ready, "model": model.name},
    )


def _cases(quick: bool) -> dict[str, study.Case[Target]]:
    alone, bursts, prompts = (2, EIGHT, 1) if quick else (4, 2 * EIGHT, 2)
    cases: dict[str, study.Case[Target]] = {
        "one, plain": lambda side: side.burst(1, alone, stream=False),
        "one, streamed": lambda side: side.burst(1, alone),
        "eight, plain": lambda side: side.burst(EIGHT, bursts, stream=False),
        "eight, streamed": lambda side: side.burst(EIGHT, bursts),
        "prompts": lambda side: side.prompts(1000, prompts),
        "class's day": lambda side: side.class_day(repeated=True),
    }
    if quick:
        return {name: cases[name] for name in ("one, streamed", "eight, streamed", "prompts", "class's day")}
    return {**cases, "class's day, nothing repeated": lambda side: side.class_day(repeated=False)}


def _figures(found: Study[Target], other: str) -> list[Figure]:
    def figure(case: str, metric: str, relation: study.Relation, target: float) -> Figure:
        ratio = found.ratio(case, "service", other, metric)
        return Figure(f"service / {other}: {case}, {metric}", ratio, "x", relation, target)

    cases = found.cases()
    figures = [figure(case, "tok_s", ">=", RATE) for case in cases if case.startswith(("one", "eight"))]
    figures.append(figure("prompts", "prompt_tok_s", ">=", RATE))
    figures.append(figure("class's day", "questions_s", ">=", DAY_RATE))
    figures.append(figure("class's day", "first_p95_s", "<=", DAY_FIRST))
    return figures


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the program's own options."""
    parser.add_argument("--model", default="embedded", help="a GGUF file (default: embedded)")
    parser.add_argument("--vllm-url", help="a vLLM that runs on this machine")
