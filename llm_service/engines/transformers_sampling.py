"""Choosing the next token of each row of a batch, every row by its own settings."""

from collections.abc import Sequence

import torch

from engines.base import SamplingParams

GREEDY_BELOW = 1e-5
"""Temperatures below this overflow the division and mean the most likely token anyway."""
CANDIDATES = 512
"""Tokens among which the nucleus is looked for before the whole vocabulary is sorted."""


class RowSampler:
    """Samples one request's tokens. Its random numbers are its own, so that a seed gives the same
    tokens whoever shares the batch.

    Temperature comes first, then ``top_k`` (the model's own bound; 0 for none), then top-p: the
    smallest set of most likely tokens whose probability reaches it (Holtzman et al., 2020).
    """

    def __init__(self, sampling: SamplingParams, *, top_k: int, device: torch.device) -> None:
        self.greedy = sampling.temperature < GREEDY_BELOW or sampling.top_p <= 0
        self._temperature = sampling.temperature
        self._top_p = sampling.top_p
        self._top_k = top_k
        self._generator = torch.Generator(device=device)
        if sampling.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(sampling.seed)

    def choose(self, logits: torch.Tensor) -> torch.Tensor:
        """Draw a token from ``logits``, float32 of shape (vocabulary,); returns its id, shape ()."""
        scaled = logits / self._temperature
        if self._top_k:
            values, ids = scaled.topk(min(self._top_k, scaled.shape[-1]))
            probabilities = values.softmax(dim=-1)
        elif self._top_p >= 1:
            return self._draw(scaled.softmax(dim=-1))
        else:
            probabilities, ids = self._most_likely(scaled)
        if self._top_p < 1:
            mass_before = probabilities.cumsum(dim=-1) - probabilities
            probabilities = probabilities.masked_fill(mass_before >= self._top_p, 0.0)
        return ids[self._draw(probabilities)]

    def _most_likely(self, scaled: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return probabilities and ids, best first, of enough tokens to hold the nucleus: sorting a
        whole vocabulary of 150,000 for every token costs more than the rest of sampling.
        """
        total = scaled.logsumexp(dim=-1)
        values, ids = scaled.topk(min(CANDIDATES, scaled.shape[-1]))
        probabilities = (values - total).exp()
        if bool(probabilities.sum() < self._top_p):
            values, ids = scaled.sort(descending=True)
            probabilities = (values - total).exp()
        return probabilities, ids

    def _draw(self, probabilities: torch.Tensor) -> torch.Tensor:
        return torch.multinomial(probabilities, 1, generator=self._generator).squeeze(0)


def choose_tokens(scores: torch.Tensor, samplers: Sequence[RowSampler | None]) -> torch.Tensor:
    """Return the next token of each row of ``scores`` (rows, vocabulary), shape (rows,); rows without
    a sampler get any.
    """
    chosen = scores.argmax(dim=-1)
    for row, sampler in enumerate(samplers):
        if sampler is not None and not sampler.greedy:
            chosen[row] = sampler.choose(scores[row])
    return chosen


def unusable_rows(scores: torch.Tensor) -> list[bool]:
    """Say of each row of ``scores`` (rows, vocabulary) whether no token can be chosen from it: it holds
    NaN or infinity, or nothing but minus infinity. (The maximum carries each of them.)
    """
    flags: list[bool] = (~scores.amax(dim=-1).isfinite()).tolist()
    return flags
