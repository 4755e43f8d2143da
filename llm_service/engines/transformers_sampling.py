"""Choosing the next token of each row of a batch, every row by its own settings."""

from collections.abc import Sequence
from secrets import randbits

import torch

from engines.base import SamplingParams

GREEDY_BELOW = 1e-5
"""Temperatures below this overflow the division and mean the most likely token anyway."""
CANDIDATES = 512
"""Tokens among which the nucleus is looked for before the whole vocabulary is sorted."""

_WORD = 2**64
_STEP, _MIX_1, _MIX_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
"""Constants of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014)."""


class RowSampler:
    """One request's sampling settings and its place in its own random sequence.

    The random numbers of a token are a function of the seed, of how many tokens came before and of the
    token's id, and of nothing else (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011):
    a seed gives the same tokens wherever the request sits in a batch and whoever shares it.
    """

    def __init__(self, sampling: SamplingParams) -> None:
        self.greedy = sampling.temperature < GREEDY_BELOW or sampling.top_p <= 0
        self.temperature = sampling.temperature
        self.top_p = sampling.top_p
        self._seed = randbits(63) if sampling.seed is None else sampling.seed
        self._drawn = 0

    def next_key(self) -> int:
        """Return the key of the next token's random numbers, a signed 64-bit integer."""
        self._drawn += 1
        return _signed(_mix((_mix(self._seed % _WORD) + self._drawn * _STEP) % _WORD))


def choose_tokens(scores: torch.Tensor, samplers: Sequence[RowSampler | None], *, top_k: int) -> torch.Tensor:
    """Return the next token of each row of ``scores`` (float32, rows by vocabulary), shape (rows,).

    Temperature comes first, then ``top_k`` (the model's own bound; 0 for none), then top-p: the smallest
    set of most likely tokens whose probability reaches it (Holtzman et al., 2020). Rows without a sampler
    get any token.
    """
    drawn = [row for row, sampler in enumerate(samplers) if sampler is not None and not sampler.greedy]
    drawing = [sampler for sampler in samplers if sampler is not None and not sampler.greedy]
    if len(drawn) == len(samplers):
        return _draw(scores, drawing, top_k)
    chosen = scores.argmax(dim=-1)
    if drawn:
        chosen[drawn] = _draw(scores[drawn], drawing, top_k)
    return chosen


def _draw(scores: torch.Tensor, samplers: Sequence[RowSampler], top_k: int) -> torch.Tensor:
    def column(values: list[float] | list[int], dtype: torch.dtype) -> torch.Tensor:
        return torch.tensor(values, dtype=dtype, device=scores.device).unsqueeze(1)

    keys = column([sampler.next_key() for sampler in samplers], torch.int64)
    top_p = column([sampler.top_p for sampler in samplers], torch.float32)
    scaled = scores / column([sampler.temperature for sampler in samplers], torch.float32)
    values, ids = scaled.topk(min(top_k or CANDIDATES, scaled.shape[-1]))
    if top_k:
        return _race(values.softmax(dim=-1), ids, top_p, keys)
    total = scaled.logsumexp(dim=-1, keepdim=True)
    probabilities = (values - total).exp()
    chosen = _race(probabilities, ids, top_p, keys)
    beyond = probabilities.sum(dim=-1) < top_p.squeeze(1)
    for row in beyond.nonzero().flatten().tolist():
        of_row = slice(row, row + 1)
        values, ids, bound = _whole_vocabulary(scaled[of_row], top_p[of_row])
        chosen[of_row] = _race((values - total[of_row]).exp(), ids, bound, keys[of_row])
    return chosen


def _whole_vocabulary(scaled: torch.Tensor, top_p: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return scores, ids and bound for a row whose nucleus does not lie within ``CANDIDATES`` tokens: sorting
    150,000 of them for every token of every request would cost more than the rest of sampling.
    """
    if float(top_p) < 1:
        values, ids = scaled.sort(dim=-1, descending=True, stable=True)
        return values, ids, top_p
    # Nothing is cut off, so nothing needs sorting; a sum that rounding took above 1 must cut nothing either.
    return scaled, torch.arange(scaled.shape[-1], device=scaled.device).unsqueeze(0), top_p + torch.inf


def _race(probabilities: torch.Tensor, ids: torch.Tensor, top_p: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """Draw one of ``ids`` (rows, candidates), best first, from each row's nucleus: of exponential waiting
    times with the probabilities as rates, the shortest one wins with just that probability.
    """
    mass_before = probabilities.cumsum(dim=-1) - probabilities
    # The most likely token stays whatever rounding did to the sum.
    outside = (mass_before >= top_p) & (mass_before > 0)
    rates = probabilities.masked_fill(outside, 0.0).to(torch.float64)
    fastest = (rates / _exponential(keys, ids)).argmax(dim=-1, keepdim=True)
    return ids.gather(-1, fastest).squeeze(-1)


def _exponential(keys: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Return a standard exponential variate, float64, for each key (rows, 1) and id (rows, candidates)."""
    word = keys + ids * _signed(_STEP)
    word = (word ^ _shift(word, 30)) * _signed(_MIX_1)
    word = (word ^ _shift(word, 27)) * _signed(_MIX_2)
    word = word ^ _shift(word, 31)
    uniform = (_shift(word, 12).to(torch.float64) + 0.5) * 2.0**-52
    return -uniform.log()


def _shift(word: torch.Tensor, bits: int) -> torch.Tensor:
    """Shift to the right filling with zeros, which torch has for no 64-bit type."""
    return (word >> bits) & ((1 << (64 - bits)) - 1)


def _mix(word: int) -> int:
    word = (word ^ (word >> 30)) * _MIX_1 % _WORD
    word = (word ^ (word >> 27)) * _MIX_2 % _WORD
    return word ^ (word >> 31)


def _signed(word: int) -> int:
    return word - _WORD if word >= _WORD // 2 else word


def unusable_rows(scores: torch.Tensor) -> list[bool]:
    """Say of each row of ``scores`` (rows, vocabulary) whether no token can be chosen from it: it holds
    NaN or infinity, or nothing but minus infinity. (The maximum carries each of them.)
    """
    flags: list[bool] = (~scores.amax(dim=-1).isfinite()).tolist()
    return flags
