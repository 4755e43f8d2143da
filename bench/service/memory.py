"""Memory of all processes while 500 different prompts of 1,000 tokens are answered: does it stay bounded?

    python dev.py bench memory [-- --quick] [--model NAME --limit-mb 2600]

Proportional set size of the HTTP process, the generator and the embedder, after the first answer, after 100 prompts
and after the last, four prompts at a time; every prompt begins like no other, so every one leaves a prefix behind.
"""

import argparse

from bench.harness import study
from bench.harness.http import call_all
from bench.harness.services import Disturbance, llm_service
from bench.harness.study import Figure, Report
from bench.service.asking import Target

PROMPTS, QUICK_PROMPTS, MEASURED_EVERY = 500, 40, 100
CALLERS, TOKENS, LIMIT_MB, GROWTH_MB = 4, 1000, 800.0, 20.0


def measure(options: argparse.Namespace) -> Report:
    """Ask, and look at the memory every hundred prompts."""
    count = options.prompts or (QUICK_PROMPTS if options.quick else PROMPTS)
    every = min(MEASURED_EVERY, max(CALLERS, count // 4))
    with llm_service({"LLM_MODEL": options.model, **options.settings}) as service:
        target = Target(service.port)
        disturbance = Disturbance()
        found: dict[str, dict[str, float]] = {"ready": service.memory_mb()}
        read = 0
        for done in range(0, count, every):
            asked = [target.long_prompt(TOKENS) for _ in range(min(every, count - done))]
            answers, seconds = call_all(service.port, asked, CALLERS)
            tokens = sum(int(answer.json()["usage"]["prompt_tokens"]) for answer in answers)
            read += tokens
            found[f"{done + len(asked)} prompts"] = service.memory_mb()
            study.note(f"{done + len(asked)} prompts, {tokens / seconds:.0f} tok/s: {service.memory_mb()}")
        busy = disturbance.share()
    study.print_table("memory, MB", found)
    after = [row["all"] for name, row in found.items() if name != "ready"]
    figures = [
        Figure(f"all processes after {count} prompts", after[-1], "MB", "<=", options.limit_mb),
        Figure(f"more than after {every} prompts", after[-1] - after[0], "MB", "<=", GROWTH_MB),
    ]
    return Report(figures, {"memory_mb": found, "mean_prompt_tokens": round(read / count), "others_busy": busy})


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the program's own options."""
    parser.add_argument("--model", default="embedded", help="LLM_MODEL (default: embedded)")
    parser.add_argument("--prompts", type=int, metavar="N", help=f"(default: {PROMPTS})")
    parser.add_argument("--limit-mb", type=float, default=LIMIT_MB, help=f"the target (default: {LIMIT_MB:.0f})")
