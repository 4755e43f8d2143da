"""The LLM service against a plain transformers service: generation, health under load, embeddings.

    python dev.py bench llm_service [-- --quick]

The baseline (harness/plan_service.py) is fp32 ``generate()`` and ``encode()`` in async handlers. Both run and are
loaded in turns. 64 new tokens, sampled; no prompt or text comes twice. Health routes are probed every 50 ms during
bursts of eight.
"""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from bench.data.stories import TEMPERATURE, TOP_P, dictionary_lines, embedding_bodies, stories
from bench.harness import study
from bench.harness.http import EMBED, GENERATE, HEALTH, LIVEZ, Answer, Call, call_all, probing
from bench.harness.services import Server, embedded_minilm, llm_service, plan_service
from bench.harness.study import Figure, Report, Study

ROUNDS = 3
EIGHT, TOKENS = 8, 64


@dataclass
class Side:
    """A server, the health routes it has, and what they took under load."""

    server: Server
    probed: tuple[str, ...]
    alone: int
    prompts: Iterator[str] = field(default_factory=stories)
    probes: dict[str, list[float]] = field(default_factory=dict)
    embedded: list[tuple[Sequence[str], list[Answer]]] = field(default_factory=list)

    def generate(self, requests: int, callers: int) -> dict[str, float]:
        """Answer stories; tokens a second over all of them."""
        more = {"max_new_tokens": TOKENS, "temperature": TEMPERATURE, "top_p": TOP_P}
        bodies = [{"messages": [{"role": "user", "content": next(self.prompts)}], **more} for _ in range(requests)]
        answers, seconds = call_all(self.server.port, [Call(GENERATE, body) for body in bodies], callers)
        return {"tok_s": sum(int(answer.json()["tokens_generated"]) for answer in answers) / seconds}

    def burst(self) -> dict[str, float]:
        """Answer eight stories at once, with the health routes probed meanwhile."""
        with ExitStack() as stack:
            probed = {path: stack.enter_context(probing(self.server.port, path)) for path in self.probed}
            found = self.generate(EIGHT, EIGHT)
        for path, seconds in probed.items():
            self.probes.setdefault(path, []).extend(seconds)
        return found

    def embed(self, texts: Sequence[str]) -> dict[str, float]:
        """Embed texts, 32 a request."""
        calls = [Call(EMBED, body) for body in embedding_bodies(texts)]
        answers, seconds = call_all(self.server.port, calls, 1)
        self.embedded = self.embedded or [(texts, answers)]
        return {"texts_s": len(texts) / seconds}


def measure(options: argparse.Namespace) -> Report:
    """Let both take turns."""
    texts = 320 if options.quick else 2000
    seeds = iter(range(1, 10**6))
    with llm_service(options.settings) as ours, plan_service() as theirs:
        sides = {"baseline": Side(theirs, (HEALTH,), 2), "service": Side(ours, (HEALTH, LIVEZ), 6)}
        for side in sides.values():
            side.generate(1, 1)
            side.embed(dictionary_lines(64, seed=0))
            side.embedded.clear()
        found = Study(sides)
        cases: dict[str, study.Case[Side]] = {
            "one generation": lambda side: side.generate(side.alone, 1),
            "eight generations": lambda side: side.burst(),
            "embeddings, one caller": lambda side: side.embed(dictionary_lines(texts, next(seeds))),
        }
        found.run(cases, options.rounds)
    latency = {
        f"{name}, {path}": study.spread_ms(values)
        for name, side in sides.items()
        for path, values in side.probes.items()
    }
    found.print_tables()
    study.print_table("health routes under load", latency)
    cosine = smallest_cosine(*sides["service"].embedded[0])
    figures = [
        Figure(f"{case}, ratio", found.ratio(case, "service", "baseline", metric), "x", ">=", target)
        for case, metric, target in (
            ("one generation", "tok_s", 4.5),
            ("eight generations", "tok_s", 16),
            ("embeddings, one caller", "texts_s", 5),
        )
    ]
    figures += [
        Figure(f"{path} p99 meanwhile", latency[f"service, {path}"]["p99_ms"], "ms", "<=", 50)
        for path in (LIVEZ, HEALTH)
    ]
    figures.append(Figure("smallest cosine with fp32", cosine, "", ">=", 0.9999))
    return Report(figures, {**found.details(), "latency": latency})


def smallest_cosine(texts: Sequence[str], answers: Sequence[Answer]) -> float:
    """The least cosine, over all texts, of a vector and sentence-transformers' in fp32."""
    import numpy as np
    from sentence_transformers import SentenceTransformer

    given = np.array([vector for answer in answers for vector in answer.json()["embeddings"]], dtype=np.float64)
    model = SentenceTransformer(str(embedded_minilm()), device="cpu", model_kwargs={"dtype": "float32"})
    expected = model.encode(list(texts), batch_size=32, convert_to_numpy=True, show_progress_bar=False)
    norms = np.linalg.norm(given, axis=1) * np.linalg.norm(expected, axis=1)
    return float(((given * expected).sum(axis=1) / norms).min())
