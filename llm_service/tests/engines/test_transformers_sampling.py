import pytest
import torch
from transformers import TopPLogitsWarper

from engines import transformers_sampling
from engines.base import SamplingParams
from engines.transformers_sampling import RowSampler, choose_tokens, unusable_rows


def sampler(temperature: float = 1.0, top_p: float = 1.0, *, seed: int | None = 0) -> RowSampler:
    return RowSampler(SamplingParams(8, temperature, top_p, seed=seed))


def draws(scores: torch.Tensor, chosen: RowSampler, count: int, *, top_k: int = 0) -> list[int]:
    """The tokens of one row, one after another, were its scores always the same."""
    return [int(choose_tokens(scores.unsqueeze(0), [chosen], top_k=top_k)) for _ in range(count)]


def logits(vocabulary: int = 2000, spread: float = 3.0) -> torch.Tensor:
    return torch.randn(vocabulary, generator=torch.Generator().manual_seed(1)) * spread


@pytest.mark.parametrize("candidates", [4, 512])
@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.9, 0.999])
def test_the_nucleus_is_the_library_s(monkeypatch: pytest.MonkeyPatch, top_p: float, candidates: int) -> None:
    monkeypatch.setattr(transformers_sampling, "CANDIDATES", candidates)
    scores = logits(300)
    nucleus = set(
        TopPLogitsWarper(top_p)(torch.empty(1, 0), scores.unsqueeze(0))[0].isfinite().nonzero().flatten().tolist()
    )
    drawn = set(draws(scores, sampler(top_p=top_p), 400))
    assert drawn <= nucleus
    if len(nucleus) <= 8:
        assert drawn == nucleus


@pytest.mark.parametrize("top_k", [0, 3])
def test_tokens_are_drawn_as_often_as_they_are_likely(top_k: int) -> None:
    scores = torch.tensor([1.0, 2.0, -20.0, 0.0])
    for temperature in (0.5, 1.0, 2.0):
        counts = (
            torch.bincount(torch.tensor(draws(scores, sampler(temperature), 4000, top_k=top_k)), minlength=4) / 4000
        )
        torch.testing.assert_close(counts, (scores / temperature).softmax(-1), atol=0.04, rtol=0)


def test_seeds_next_to_each_other_draw_as_differently_as_any() -> None:
    scores = torch.zeros(4)
    first = torch.tensor([draws(scores, sampler(seed=seed), 1)[0] for seed in range(4000)])
    counts = torch.bincount(first, minlength=4) / 4000
    torch.testing.assert_close(counts, torch.full((4,), 0.25), atol=0.04, rtol=0)


def test_the_model_s_top_k_bounds_the_choice() -> None:
    scores = logits()
    assert set(draws(scores, sampler(2.0), 200, top_k=3)) == set(scores.topk(3).indices.tolist())


@pytest.mark.parametrize("top_k", [0, 50])
@pytest.mark.parametrize("top_p", [0.3, 0.99, 1.0])
def test_a_seed_gives_the_same_tokens_wherever_it_sits_and_whoever_shares_the_batch(top_p: float, top_k: int) -> None:
    scores = logits()
    alone = draws(scores, sampler(1.5, top_p, seed=42), 20, top_k=top_k)
    others = [sampler(0.7, 0.8, seed=1), None, sampler(0.0), sampler(3.0, 1.0, seed=2)]
    for place in range(len(others) + 1):
        batch: list[RowSampler | None] = [*others]
        batch.insert(place, sampler(1.5, top_p, seed=42))
        together = scores.repeat(len(batch), 1)
        assert [int(choose_tokens(together, batch, top_k=top_k)[place]) for _ in range(20)] == alone
    assert draws(scores, sampler(1.5, top_p, seed=43), 20, top_k=top_k) != alone


@pytest.mark.parametrize("seed", [-1, -(2**70), 0, 2**63, 2**64 - 1, 2**200])
def test_any_whole_number_is_a_seed(seed: int) -> None:
    scores = logits()
    assert draws(scores, sampler(2.0, seed=seed), 5) == draws(scores, sampler(2.0, seed=seed), 5)


@pytest.mark.parametrize(("temperature", "top_p"), [(0.0, 1.0), (0.0, 0.5), (1e-9, 0.9), (1.0, 0.0)])
def test_no_temperature_or_no_mass_is_greedy(temperature: float, top_p: float) -> None:
    scores = logits()
    assert draws(scores, sampler(temperature, top_p), 1) == [int(scores.argmax())]


def test_without_a_seed_two_samplers_differ() -> None:
    scores = logits()
    assert draws(scores, sampler(2.0, seed=None), 20) != draws(scores, sampler(2.0, seed=None), 20)


def test_rows_that_cannot_be_sampled_are_found() -> None:
    fine = torch.tensor([0.0, -torch.inf, 1.0])
    rows = [
        fine,
        torch.tensor([0.0, torch.nan, 1.0]),
        torch.tensor([0.0, torch.inf, 1.0]),
        torch.full((3,), -torch.inf),
    ]
    assert unusable_rows(torch.stack(rows)) == [False, True, True, True]
