import pytest
import torch
from transformers import TopPLogitsWarper

from engines import transformers_sampling
from engines.base import SamplingParams
from engines.transformers_sampling import RowSampler, choose_tokens, unusable_rows

CPU = torch.device("cpu")


def sampler(temperature: float = 1.0, top_p: float = 1.0, *, seed: int | None = 0, top_k: int = 0) -> RowSampler:
    return RowSampler(SamplingParams(8, temperature, top_p, seed=seed), top_k=top_k, device=CPU)


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
    chosen = sampler(top_p=top_p)
    drawn = {int(chosen.choose(scores)) for _ in range(400)}
    assert drawn <= nucleus
    if len(nucleus) <= 8:
        assert drawn == nucleus


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    scores = torch.tensor([2.0, 1.0, 0.0, -20.0])
    for temperature in (0.5, 1.0, 2.0):
        chosen = sampler(temperature)
        counts = torch.bincount(torch.stack([chosen.choose(scores) for _ in range(4000)]), minlength=4) / 4000
        torch.testing.assert_close(counts, (scores / temperature).softmax(-1), atol=0.04, rtol=0)


def test_the_model_s_top_k_bounds_the_choice() -> None:
    scores = logits()
    chosen = sampler(2.0, top_k=3)
    assert {int(chosen.choose(scores)) for _ in range(200)} == set(scores.topk(3).indices.tolist())


def test_a_seed_gives_the_same_tokens_whoever_shares_the_batch() -> None:
    scores = logits()

    def draw(*others: RowSampler | None) -> list[int]:
        samplers = [sampler(1.5, 0.9, seed=42), *others]
        return [int(choose_tokens(scores.repeat(len(samplers), 1), samplers)[0]) for _ in range(20)]

    assert draw() == draw(sampler(seed=1), None, sampler(0.0))
    assert draw() != [int(token) for token in (sampler(1.5, 0.9, seed=43).choose(scores) for _ in range(20))]


@pytest.mark.parametrize(("temperature", "top_p"), [(0.0, 1.0), (0.0, 0.5), (1e-9, 0.9), (1.0, 0.0)])
def test_no_temperature_or_no_mass_is_greedy(temperature: float, top_p: float) -> None:
    scores = logits()
    assert int(choose_tokens(scores.unsqueeze(0), [sampler(temperature, top_p)])[0]) == int(scores.argmax())


def test_without_a_seed_two_samplers_differ() -> None:
    scores = logits()
    first, second = (sampler(2.0, seed=None) for _ in range(2))
    assert [int(first.choose(scores)) for _ in range(20)] != [int(second.choose(scores)) for _ in range(20)]


def test_rows_that_cannot_be_sampled_are_found() -> None:
    fine = torch.tensor([0.0, -torch.inf, 1.0])
    rows = [
        fine,
        torch.tensor([0.0, torch.nan, 1.0]),
        torch.tensor([0.0, torch.inf, 1.0]),
        torch.full((3,), -torch.inf),
    ]
    assert unusable_rows(torch.stack(rows)) == [False, True, True, True]
