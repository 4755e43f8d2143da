from collections import deque
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import TopPLogitsWarper

from engines.requests import GenerationRequest, SamplingParams
from engines.text_assembly import TextAssembler
from engines.transformers import sampling as transformers_sampling
from engines.transformers.rows import Row
from engines.transformers.sampling import NextTokens, UnusableLogits, random_sequence


def sampler(temperature: float = 1.0, top_p: float = 1.0, *, seed: int | None = 0) -> Row:
    """A row after the prompt of one token, 0."""
    request = GenerationRequest("one", (), SamplingParams(8, temperature, top_p, seed=seed))
    text = TextAssembler(lambda _ids: "")
    random = random_sequence(seed)
    return Row(request=request, max_new_tokens=8, text=text, prompt_ids=[0], unread=deque(), random=random)


def next_tokens(scores: torch.Tensor, rows: list[Row], *, top_k: int = 0, penalty: float = 1.0) -> NextTokens:
    return NextTokens(scores, rows, top_k=top_k, repetition_penalty=penalty)


def draws(scores: torch.Tensor, row: Row, count: int, *, top_k: int = 0) -> list[int]:
    """The tokens of one row, one after another, were its scores always the same."""
    return [next_tokens(scores.unsqueeze(0), [row], top_k=top_k).choose(0, row) for _ in range(count)]


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


def test_the_model_s_top_k_bounds_the_choice() -> None:
    scores = logits()
    assert set(draws(scores, sampler(2.0), 200, top_k=3)) == set(scores.topk(3).indices.tolist())


@pytest.mark.parametrize("top_k", [0, 50])
@pytest.mark.parametrize("top_p", [0.3, 0.99, 1.0])
def test_a_seed_gives_the_same_tokens_at_any_place_of_any_batch(top_p: float, top_k: int) -> None:
    scores = logits()
    alone = draws(scores, sampler(1.5, top_p, seed=42), 20, top_k=top_k)
    others = [sampler(0.7, 0.8, seed=1), sampler(0.0), sampler(3.0, 1.0, seed=2)]
    for place in range(len(others) + 1):
        row = sampler(1.5, top_p, seed=42)
        batch = [*others[:place], row, *others[place:]]
        together = scores.repeat(len(batch), 1)
        assert [next_tokens(together, batch, top_k=top_k).choose(place, row) for _ in range(20)] == alone
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


@pytest.mark.parametrize("bad", [[0.0, torch.nan], [0.0, torch.inf], [-torch.inf, -torch.inf]])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_row_that_cannot_be_sampled_harms_no_other(bad: list[float], temperature: float) -> None:
    rows = [sampler(temperature), sampler(temperature)]
    chosen = next_tokens(torch.tensor([bad, [-torch.inf, 1.0]]), rows)
    assert chosen.choose(1, rows[1]) == 1
    with pytest.raises(UnusableLogits):
        chosen.choose(0, rows[0])


def test_the_model_s_own_repetition_penalty_is_applied() -> None:
    row = sampler(0.0)
    scores = torch.tensor([[2.0, 1.5]])
    assert next_tokens(scores, [row]).choose(0, row) == 0
    assert next_tokens(scores, [row], penalty=2.0).choose(0, row) == 1


def settle(row: Row, **changes: Any) -> Row:
    """Return the row with other sampling."""
    row.request = replace(row.request, sampling=replace(row.request.sampling, **changes))
    return row


def test_a_row_s_own_top_k_and_min_p_beat_the_model_s() -> None:
    scores = torch.tensor([3.0, 2.0, 1.0, 0.0])
    assert set(draws(scores, settle(sampler(), top_k=1), 50, top_k=3)) == {0}
    assert set(draws(scores, settle(sampler(), top_k=0), 400, top_k=1)) == {0, 1, 2, 3}
    assert set(draws(scores, settle(sampler(), min_p=0.3), 400)) == {0, 1}


def test_presence_and_frequency_count_the_answer_s_tokens_alone() -> None:
    row = settle(sampler(temperature=0.0), presence_penalty=0.5, frequency_penalty=0.5)
    scores = torch.tensor([[1.0, 0.9, 0.0]])
    assert next_tokens(scores, [row]).choose(0, row) == 0  # the prompt's token is free
    row.text.add([0])
    assert next_tokens(scores, [row]).choose(0, row) == 1
    row.text.add([1, 1])
    assert next_tokens(scores, [row]).choose(0, row) == 0


def test_the_log_probability_is_the_model_s_before_all_settings() -> None:
    scores = torch.tensor([[1.0, 2.0, 3.0]])
    row = settle(sampler(0.1), repetition_penalty=2.0)
    assert next_tokens(scores, [row]).logprob(0, 2) == pytest.approx(float(scores[0].log_softmax(-1)[2]))
