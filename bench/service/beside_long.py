"""A short question beside a long prompt: its first token, and what that costs the long one.

    python dev.py bench beside_long [-- --quick] [--prompt-tokens 4000]

Each round: a short question alone, a long prompt alone, and a long prompt with short questions one after the other
until its first token. All prompts are new.
"""

import argparse
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

from bench.data.stories import stories
from bench.harness import study
from bench.harness.http import MeasuringFailed, ask
from bench.harness.services import Disturbance, llm_service
from bench.harness.study import Figure, Report, Study
from bench.service.asking import Target

ROUNDS = 2
PROMPT_TOKENS, QUICK_PROMPT_TOKENS = 4000, 1500
FIRST_TARGET, SLOWED_TARGET = 3.0, 1.15
SHORT_TOKENS, PAUSE_S = 4, 1.0


def measure(options: argparse.Namespace) -> Report:
    """Measure every round on one service."""
    tokens = options.prompt_tokens or (QUICK_PROMPT_TOKENS if options.quick else PROMPT_TOKENS)
    prompts = stories()
    found = Study({"service": None})
    settings = {"LLM_MODEL": options.model, "EMBEDDING_BACKEND": "fake", **options.settings}
    with llm_service(settings) as service:
        target = Target(service.port)

        def short() -> float:
            call = target.chat([{"role": "user", "content": next(prompts)}], SHORT_TOKENS, stream=True)
            return ask(service.port, call).first_s

        short()
        disturbance = Disturbance()
        for number in range(options.rounds):
            alone = statistics.median(short() for _ in range(3))
            long_alone = ask(service.port, target.long_prompt(tokens))
            beside: list[float] = []
            with ThreadPoolExecutor(1) as pool:
                asked = pool.submit(ask, service.port, target.long_prompt(tokens))
                time.sleep(0.3)
                while not asked.done():
                    beside.append(short())
                    time.sleep(PAUSE_S)
                long_beside = asked.result()
            if not beside:
                raise MeasuringFailed("the long prompt was read before a short question could be asked")
            row = {
                "short_alone_s": alone,
                "short_beside_s": statistics.median(beside),
                "short_beside_max_s": max(beside),
                "long_alone_s": long_alone.first_s,
                "long_beside_s": long_beside.first_s,
                "short_questions": float(len(beside)),
            }
            row["first_ratio"] = row["short_beside_max_s"] / alone
            row["slowed"] = long_beside.first_s / long_alone.first_s
            found.add("beside", "service", row)
            study.note(f"round {number + 1}: " + ", ".join(f"{name} {value:.3g}" for name, value in row.items()))
        busy = disturbance.share()
    found.print_tables()
    figures = [
        Figure("short question's first token, beside / alone",
               found.median("beside", "service", "first_ratio"), "x", "<=", FIRST_TARGET),
        Figure("long prompt's first token, beside / alone",
               found.median("beside", "service", "slowed"), "x", "<=", SLOWED_TARGET),
    ]  # fmt: skip
    return Report(figures, {**found.details(), "others_busy": busy, "prompt_tokens": tokens})


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the program's own options."""
    parser.add_argument("--model", default="embedded", help="LLM_MODEL (default: embedded)")
    parser.add_argument("--prompt-tokens", type=int, metavar="N", help=f"(default: {PROMPT_TOKENS})")
