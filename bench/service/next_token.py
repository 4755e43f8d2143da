"""The next token along a given text (teacher forcing), as each engine computes it.

The service's HTTP routes give no distributions for all engines, so each engine is asked as closely as it can be:
llama.cpp's server by token ids, OpenVINO GenAI's pipeline for one token after each prefix, transformers by a
forward pass in the engine's precision.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from bench.harness.http import Call, MeasuringFailed, ask
from bench.harness.services import llama_library
from bench.service.reference import Reference, ReferenceAnswer
from engines.openvino.options import properties

CANDIDATES = 64
END = -1
"""Any token that ends an answer, where an engine does not say which."""


@dataclass(frozen=True)
class Candidates:
    """The likeliest next token and, where the engine gives them, the log-probabilities of the likeliest ones."""

    top: int
    logprobs: Mapping[int, float]


class NextToken(Protocol):
    """An engine that continues token ids by one."""

    def along(self, answer: ReferenceAnswer) -> Sequence[Candidates]:
        """The candidates after the prompt and after each token of an answer."""
        ...


class LlamaCpp:
    """llama.cpp's ``/completion`` on prefixes of token ids."""

    def __init__(self, port: int) -> None:
        self._port = port

    def along(self, answer: ReferenceAnswer) -> list[Candidates]:
        """Ask after each prefix, one token each."""
        return [self._after([*answer.prompt, *answer.tokens[:end]]) for end in range(len(answer.tokens) + 1)]

    def _after(self, ids: list[int]) -> Candidates:
        body = {"prompt": ids, "n_predict": 1, "n_probs": CANDIDATES, "temperature": 0, "cache_prompt": True}
        said = ask(self._port, Call("/completion", body)).json()
        if not said.get("completion_probabilities"):  # llama.cpp lists nothing for a token that ends the answer
            if said.get("stop_type") != "eos":
                raise MeasuringFailed(f"llama.cpp gave no next token: {str(said)[:300]}")
            return Candidates(END, {})
        listed = said["completion_probabilities"][0]
        found = {int(one["id"]): float(one["logprob"]) for one in listed["top_logprobs"]}
        return Candidates(max(found, key=lambda token: found[token]), found)


class OpenVino:
    """OpenVINO GenAI's continuous batching pipeline, one token a request. It gives no distribution."""

    def __init__(self, path: Path) -> None:
        import openvino_genai as genai

        self._genai = genai
        scheduler = genai.SchedulerConfig()
        scheduler.enable_prefix_caching = True
        self._pipeline = genai.ContinuousBatchingPipeline(str(path), scheduler, "CPU", properties("auto"))

    def along(self, answer: ReferenceAnswer) -> list[Candidates]:
        """Generate one token after each prefix."""
        import numpy
        import openvino

        config = self._genai.GenerationConfig()
        config.max_new_tokens, config.do_sample, config.ignore_eos = 1, False, True
        config.eos_token_id = -1
        prefixes = [[*answer.prompt, *answer.tokens[:end]] for end in range(len(answer.tokens) + 1)]
        tensors = [openvino.Tensor(numpy.array([ids])) for ids in prefixes]
        made = self._pipeline.generate(tensors, [config] * len(tensors))
        return [Candidates(int(result.m_generation_ids[0][-1]), {}) for result in made]


class Transformers:
    """A forward pass in another precision than the reference's."""

    def __init__(self, path: Path, dtype: str) -> None:
        self._reference = Reference(path, dtype)

    def along(self, answer: ReferenceAnswer) -> list[Candidates]:
        """One pass over prompt and answer."""
        logprobs, ids = self._reference.distributions(answer).topk(CANDIDATES, dim=-1)
        rows = zip(ids.tolist(), logprobs.tolist(), strict=True)
        return [Candidates(row[0], dict(zip(row, values, strict=True))) for row, values in rows]


@contextmanager
def next_token(path: Path, dtype: str) -> Iterator[tuple[str, NextToken]]:
    """The engine that the service takes for these files, and its name."""
    if path.is_file():
        with llama_library(path) as server:
            yield "llama.cpp", LlamaCpp(server.port)
    elif (path / "openvino_model.xml").is_file():
        yield "OpenVINO", OpenVino(path)
    else:
        yield f"transformers, {dtype}", Transformers(path, dtype)


def agreement(reference: Reference, engine: NextToken, answers: Sequence[ReferenceAnswer]) -> dict[str, float]:
    """Top-1 agreement along the reference's texts and, where the engine gives distributions, the mean KL divergence.

    KL(reference ‖ engine) is summed over the engine's ``CANDIDATES`` likeliest tokens and what is left as one.
    """
    same = positions = 0
    divergences: list[float] = []
    for answer in answers:
        expected = reference.distributions(answer)
        for row, found in zip(expected, engine.along(answer), strict=True):
            positions += 1
            top = int(row.argmax())
            same += top == found.top or (found.top == END and top in reference.ends)
            if found.logprobs:
                divergences.append(_divergence(row, found.logprobs))
    mean = sum(divergences) / len(divergences) if divergences else math.nan
    return {"positions": positions, "top1": same / positions, **({} if math.isnan(mean) else {"mean_kl": mean})}


def _divergence(row: Any, logprobs: Mapping[int, float]) -> float:
    pairs = [(float(row[token]), logprob) for token, logprob in logprobs.items()]
    total = sum(math.exp(mine) * (mine - theirs) for mine, theirs in pairs)
    left, other = (1 - sum(math.exp(pair[side]) for pair in pairs) for side in (0, 1))
    if left > 1e-6:
        total += left * math.log(left / max(other, 1e-6))
    return max(0.0, total)
