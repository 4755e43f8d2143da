"""The next token of each row of a batch, every row by its own settings."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
import transformers

from engines.requests import SamplingParams
from engines.transformers.rows import Row

library: Any = transformers
CANDIDATES = 512
"""Tokens among which the nucleus is looked for before the whole vocabulary is sorted."""


class UnusableLogits(ArithmeticError):
    """A row's logits hold NaN or infinity, or nothing but minus infinity."""


def random_sequence(seed: int | None) -> torch.Generator:
    """Return a random sequence on the CPU, where the same seed gives the same numbers on every machine."""
    generator = torch.Generator()
    if seed is None:
        generator.seed()
        return generator
    return generator.manual_seed(seed % 2**63)


class NextTokens:
    """Chooses from ``logits`` (rows, vocabulary), the next token's. Sorting is done for all rows together on the
    logits' device; what is drawn for one row depends on that row alone.

    Penalties and grammars come first, then temperature, then ``top_k`` (0 for none), then top-p: the smallest set of
    most likely tokens whose probability reaches it (Holtzman et al., 2020), then min-p. ``top_k`` and
    ``repetition_penalty`` are the model's own, for rows that name none.
    """

    def __init__(self, logits: torch.Tensor, rows: Sequence[Row], *, top_k: int, repetition_penalty: float) -> None:
        self._raw = logits
        logits = torch.cat(
            [_adjusted(logits[at : at + 1].float(), row, repetition_penalty) for at, row in enumerate(rows)]
        )
        self._top_k = top_k
        self._greedy = [row.request.sampling.greedy for row in rows]
        # The maximum of a row is NaN if any of its logits is.
        self._usable: list[bool] = logits.amax(dim=-1).isfinite().tolist()
        self._most_likely: list[int] = logits.argmax(dim=-1).tolist()
        if all(self._greedy):
            return
        temperatures = [1.0 if row.request.sampling.greedy else row.request.sampling.temperature for row in rows]
        self._scaled = logits / torch.tensor(temperatures, device=logits.device).unsqueeze(1)
        values, ids = self._scaled.topk(min(top_k or CANDIDATES, logits.shape[-1]))
        total = values.logsumexp(-1, keepdim=True) if top_k else self._scaled.logsumexp(-1, keepdim=True)
        self._probabilities, self._ids = (values - total).exp().cpu(), ids.cpu()

    def check(self, at: int) -> None:
        """Raise ``UnusableLogits`` where no token can be chosen at this place."""
        if not self._usable[at]:
            raise UnusableLogits

    def choose(self, at: int, row: Row) -> int:
        """Return the token of the row at this place; raises ``UnusableLogits``."""
        self.check(at)
        if self._greedy[at]:
            return self._most_likely[at]
        sampling = row.request.sampling
        probabilities, ids = self._candidates(at, sampling)
        mass_before = probabilities.cumsum(-1) - probabilities
        # The most likely token is always kept, also when the sum was rounded.
        unlikely = (mass_before >= sampling.top_p) & (mass_before > 0)
        if sampling.min_p is not None:
            unlikely |= probabilities < sampling.min_p * probabilities.max()
        return int(ids[torch.multinomial(probabilities.masked_fill(unlikely, 0.0), 1, generator=row.random)])

    def logprob(self, at: int, token: int) -> float:
        """Return the natural logarithm of the probability that the model gives a token, before all settings."""
        return float(self._raw[at].float().log_softmax(-1)[token])

    def _candidates(self, at: int, sampling: SamplingParams) -> tuple[torch.Tensor, torch.Tensor]:
        """Return probabilities and ids, the likeliest first."""
        if sampling.top_k is None:
            probabilities, ids = self._probabilities[at], self._ids[at]
            if self._top_k or float(probabilities.sum()) >= sampling.top_p:
                return probabilities, ids
        probabilities, ids = self._scaled[at].softmax(-1).cpu().sort(descending=True)
        if sampling.top_k:
            probabilities, ids = probabilities[: sampling.top_k], ids[: sampling.top_k]
            probabilities = probabilities / probabilities.sum()
        return probabilities, ids


def _adjusted(logits: torch.Tensor, row: Row, repetition_penalty: float) -> torch.Tensor:
    """Return a row's logits, shape (1, vocabulary), after penalties and its grammar."""
    sampling = row.request.sampling
    if sampling.repetition_penalty is not None:
        repetition_penalty = sampling.repetition_penalty
    if repetition_penalty != 1.0:
        seen = torch.tensor([row.token_ids], device=logits.device)
        logits = library.RepetitionPenaltyLogitsProcessor(repetition_penalty)(seen, logits)
    if sampling.presence_penalty or sampling.frequency_penalty:
        counts = Counter(row.text.token_ids)
        ids = torch.tensor(list(counts), dtype=torch.long, device=logits.device)
        amounts = [sampling.presence_penalty + sampling.frequency_penalty * count for count in counts.values()]
        logits = logits.clone()
        logits[0, ids] -= torch.tensor(amounts, dtype=logits.dtype, device=logits.device)
    if row.constraint is not None:
        allowed = row.constraint.allowed(logits.shape[-1]).to(logits.device)
        # NaN must remain detectable.
        logits = logits.masked_fill(~allowed & ~logits.isnan(), -math.inf)
    return logits
