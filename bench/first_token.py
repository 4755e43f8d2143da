"""Time to the first token of a prompt of 1,000 tokens: new, and with its documents read before.

    python dev.py bench first_token [-- --quick | --rounds N | --prompt-tokens N]

Streamed over HTTP. A cold prompt begins like no other; a warm one has the rules and documents of the
cold one before it, and another question. Measured with nobody else about, and while seven others are
being answered. The last line on standard output is one JSON object. The exit status tells whether the
measuring worked, not whether the target is reached.
"""

import argparse
import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import program
from bench.figures import Figure
from bench.long_prompts import LongPrompts
from bench.others import Others
from bench.processes import Disturbance, llm_service
from bench.wire import Answer, Caller

ROUNDS = 10
TARGET = 0.15
PROMPT_TOKENS = 1000
NEW_TOKENS = 4
WARM = 3
"""Warm prompts after each cold one."""
OTHERS = 7


@dataclass
class Times:
    """Seconds to the first token: one cold prompt a round, and the warm ones that followed it."""

    cold: list[float] = field(default_factory=list)
    warm: list[list[float]] = field(default_factory=list)
    prompt_tokens: list[int] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """The median over all warm prompts of the part of their cold prompt's time they took."""
        pairs = [(one, cold) for cold, few in zip(self.cold, self.warm, strict=True) for one in few]
        return program.median_ratio([warm for warm, _ in pairs], [cold for _, cold in pairs])

    def summary(self) -> dict[str, object]:
        """Percentiles, and every round's value."""
        return {
            "cold": program.spread_ms(self.cold),
            "warm": program.spread_ms([one for few in self.warm for one in few]),
            "ratio": round(self.ratio, 4),
            "prompt_tokens": round(sum(self.prompt_tokens) / len(self.prompt_tokens)),
            "cold_ms": [round(1000 * one, 1) for one in self.cold],
            "warm_ms": [[round(1000 * one, 1) for one in few] for few in self.warm],
        }


def measure(options: argparse.Namespace) -> program.Report:
    """Run every round; raises ``MeasuringFailed``."""
    settings = {"EMBEDDING_BACKEND": "fake", **program.settings_of(options)}
    rounds = program.rounds_of(options)
    with llm_service(settings) as service:
        service.wait_for("/readyz")
        prompts = LongPrompts(service.port, options.prompt_tokens)
        _rounds(service.port, prompts, 1, "warm-up")
        disturbance = Disturbance([service])
        alone = _rounds(service.port, prompts, rounds, "alone")
        busy = round(disturbance.share(), 3)
        with Others(service.port, OTHERS):
            loaded = _rounds(service.port, prompts, rounds, f"{OTHERS} others")
    summaries = {"alone": alone.summary(), f"{OTHERS}_others": loaded.summary()}
    for name, times in (("alone", alone), (f"{OTHERS} others", loaded)):
        warm = program.spread_ms([one for few in times.warm for one in few])
        program.table(f"first token, {name}", {"cold": program.spread_ms(times.cold), "warm": warm})
    program.note(f"warm/cold with {OTHERS} others: {loaded.ratio:.3f}")
    figures = [Figure("warm/cold, nobody else about", alone.ratio, "x", "<=", TARGET)]
    return figures, {"others_busy": busy, "service": settings, "first_token": summaries}


def _rounds(port: int, prompts: LongPrompts, rounds: int, what: str) -> Times:
    times = Times()
    with contextlib.closing(Caller(port)) as caller:
        for number in range(1, rounds + 1):
            prompt = prompts.new()
            cold = caller.call(prompt.call(0, NEW_TOKENS).encoded())
            warm = [caller.call(prompt.call(question, NEW_TOKENS).encoded()) for question in range(1, WARM + 1)]
            times.cold.append(cold.first_s)
            times.warm.append([answer.first_s for answer in warm])
            times.prompt_tokens.append(_prompt_tokens([cold, *warm]))
            program.note(
                f"{what}, round {number}: cold {1000 * cold.first_s:.0f} ms, warm {_listed(times.warm[-1])} ms"
            )
    return times


def _prompt_tokens(answers: Sequence[Answer]) -> int:
    return round(sum(int(answer.json()["usage"]["prompt_tokens"]) for answer in answers) / len(answers))


def _listed(seconds: Sequence[float]) -> str:
    return ", ".join(f"{1000 * one:.0f}" for one in seconds)


def main() -> int:
    """Measure and report."""
    parser = program.parser(__doc__ or "", ROUNDS)
    parser.add_argument("--prompt-tokens", type=int, default=PROMPT_TOKENS, metavar="N", help="(default: 1000)")
    options = parser.parse_args()
    return program.main("first_token", options, lambda: measure(options))


if __name__ == "__main__":
    sys.exit(main())
