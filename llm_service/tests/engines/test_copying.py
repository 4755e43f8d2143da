"""What would prompt lookup have given?"""

import pytest

from engines.base import ChatMessage, GenerationRequest, SamplingParams
from engines.copying import KINDS, CopyingRecord, tokens_per_step


def request(system: str, user: str = "question") -> GenerationRequest:
    messages = (ChatMessage("system", system), ChatMessage("user", user))
    return GenerationRequest("id", messages, SamplingParams(64, 0.0, 1.0))


def test_an_answer_that_repeats_its_prompt_takes_one_step_for_each_proposal() -> None:
    prompt = list(range(100))
    answer = prompt[10:50]
    # The first token, then 8 proposed and 1 more at a time: 39 in 5 steps.
    assert tokens_per_step(prompt, answer, max_tokens=8, max_ngram=3) == pytest.approx(40 / 6)


def test_an_answer_of_new_tokens_takes_one_step_each() -> None:
    assert tokens_per_step(range(100), range(100, 140), max_tokens=8, max_ngram=3) == 1.0


def test_an_answer_that_repeats_itself_counts_as_repetition() -> None:
    assert tokens_per_step([1, 2, 3], [4, 5, 6, 7] * 10, max_tokens=8, max_ngram=3) > 3


def test_wrong_proposals_gain_nothing() -> None:
    # Every token has occurred, and never with the same successor.
    prompt = [1, 2, 1, 3, 1, 4]
    assert tokens_per_step(prompt, [1, 5, 1, 6, 1, 7], max_tokens=8, max_ngram=3) == 1.0


def test_the_longest_match_decides() -> None:
    prompt = [7, 8, 20, 21, 22, 5, 7, 8, 30, 31, 32]
    # After 5 7 8 come 30 31 32; 7 8 alone occurred earlier, before other tokens.
    assert tokens_per_step(prompt, [5, 7, 8, 30, 31, 32], max_tokens=8, max_ngram=3) == pytest.approx(6 / 2)


def test_a_kind_is_worthwhile_when_its_answers_were_repetition() -> None:
    record = CopyingRecord(max_tokens=8, max_ngram=3)
    prompt = list(range(100))
    assert not record.worthwhile(request("quote"))
    record.observe(request("quote"), prompt, prompt[:40])
    record.observe(request("invent"), prompt, range(200, 240))
    assert record.worthwhile(request("quote", "another question"))
    assert not record.worthwhile(request("invent"))


def test_a_kind_that_stops_repeating_is_dropped() -> None:
    record = CopyingRecord(max_tokens=8, max_ngram=3)
    prompt = list(range(100))
    record.observe(request("quote"), prompt, prompt[:40])
    for _ in range(8):
        record.observe(request("quote"), prompt, range(200, 240))
    assert not record.worthwhile(request("quote"))


def test_short_answers_do_not_count() -> None:
    record = CopyingRecord(max_tokens=8, max_ngram=3)
    record.observe(request("quote"), list(range(100)), range(8))
    assert not record.worthwhile(request("quote"))


def test_the_record_is_bounded() -> None:
    record = CopyingRecord(max_tokens=8, max_ngram=3)
    prompt = list(range(100))
    for index in range(KINDS + 1):
        record.observe(request(f"kind {index}"), prompt, prompt[:40])
    assert not record.worthwhile(request("kind 0"))
    assert record.worthwhile(request("kind 1"))
