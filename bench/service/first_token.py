"""Time to the first token of a prompt of 1,000 tokens: new, and with its rules and documents read before.

    python dev.py bench first_token [-- --quick] [--prompt-tokens N]

Streamed. A cold prompt begins like no other; a warm one has the rules and documents of the cold one before it and
another question.
"""

import argparse
import statistics

from bench.data.stories import long_text
from bench.harness.http import Call, ask
from bench.harness.services import llm_service
from bench.harness.study import Figure, Report, Study
from bench.service.asking import Target

ROUNDS, WARM, TARGET = 5, 3, 0.15
PROMPT_TOKENS, NEW_TOKENS = 1000, 4
_QUESTIONS = ("Which grow near the water?", "Which shine?", "Which speak of the wind?", "Which are shared at feasts?")


class Documents:
    """Prompts with documents that no other prompt has, and several questions about them."""

    def __init__(self, target: Target, tokens: int) -> None:
        self._target, self._tokens = target, tokens
        self._seed = 5000

    def measure(self) -> dict[str, float]:
        """Ask about new documents, then again."""
        self._seed += 1
        cold = ask(self._target.port, self._call(0)).first_s
        warm = statistics.median(ask(self._target.port, self._call(1 + number)).first_s for number in range(WARM))
        return {"cold_s": cold, "warm_s": warm, "warm_to_cold": warm / cold}

    def _call(self, question: int) -> Call:
        text = f"{long_text(self._tokens, self._seed)}\n\n{_QUESTIONS[question]}"
        messages = [{"role": "system", "content": "Answer from the list, in one sentence."}]
        return self._target.chat([*messages, {"role": "user", "content": text}], NEW_TOKENS, stream=True)


def measure(options: argparse.Namespace) -> Report:
    """Run every round."""
    settings = {"EMBEDDING_BACKEND": "fake", **options.settings}
    with llm_service(settings) as service:
        target = Target(service.port)
        documents = Documents(target, options.prompt_tokens)
        documents.measure()
        found = Study({"service": documents})
        found.run({"documents": Documents.measure}, options.rounds)
    found.print_tables()
    ratio = found.median("documents", "service", "warm_to_cold")
    return Report([Figure("first token, warm / cold", ratio, "x", "<=", TARGET)], found.details())


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the program's own options."""
    parser.add_argument("--prompt-tokens", type=int, default=PROMPT_TOKENS, metavar="N", help="(default: 1000)")
