"""What every engine that generates text has to do."""

from dataclasses import replace

import pytest

from engines.errors import ContextLengthExceeded, GenerationFailed, ServiceError
from engines.events import Failed
from engines.requests import ChatMessage, GenerationRequest
from tests.engines.conftest import GeneratorCase
from tests.engines.driving import Outcome, chat, generate, run, step_until


@pytest.fixture(scope="session")
def whole(loaded_case: GeneratorCase) -> str:
    """What 16 tokens of the greedy answer that does not end are."""
    return generate(loaded_case.engine, chat("whole", loaded_case.endless)).text


def test_greedy_decoding_repeats_itself(case: GeneratorCase, whole: str) -> None:
    assert generate(case.engine, chat("again", case.endless, seed=7)).text == whole != ""


def test_sampling_depends_on_the_seed_alone(case: GeneratorCase) -> None:
    def sample(seed: int) -> str:
        request = chat("one", case.endless, max_new_tokens=6, temperature=1.2, top_p=0.95, seed=seed)
        return generate(case.engine, request).text

    texts = [sample(seed) for seed in (1, 2, 3)]
    assert len(set(texts)) > 1
    assert sample(2) == texts[1]


@pytest.mark.parametrize(("temperature", "top_p"), [(1e-46, 1.0), (1e-38, 0.9), (1e-5, 1.0), (0.8, 1e-46)])
def test_sampling_next_to_greedy_is_greedy(case: GeneratorCase, whole: str, temperature: float, top_p: float) -> None:
    sampled = chat("sampled", case.endless, max_new_tokens=6, temperature=temperature, top_p=top_p, seed=1)
    text = generate(case.engine, sampled).text
    assert text != ""
    assert whole.startswith(text)


@pytest.mark.parametrize("seed", [2**63 - 1, 2**64 - 1])
def test_any_seed_can_be_used(case: GeneratorCase, seed: int) -> None:
    request = chat("one", case.endless, max_new_tokens=4, temperature=0.9, seed=seed)
    assert generate(case.engine, request).completion_tokens == 4


def test_odd_texts_harm_no_other_request(case: GeneratorCase, whole: str) -> None:
    texts = ["half a pair: \ud83d", "\u202e\u0000\ufeff\uffff", "👩\u200d" * 50, "<|im_end|>" * 9]
    requests = {f"odd {at}": chat(f"odd {at}", text, max_new_tokens=2) for at, text in enumerate(texts)}
    outcomes = {name: Outcome() for name in ("other", *requests)}
    case.engine.submit(chat("other", case.endless, max_new_tokens=6))
    for name, request in requests.items():
        try:
            case.engine.submit(request)
        except Exception:  # noqa: BLE001 - whatever submitting raises fails that request
            outcomes[name].end = Failed(name, GenerationFailed(""))
    step_until(case.engine, lambda: all(outcome.end for outcome in outcomes.values()), outcomes)
    assert whole.startswith(outcomes["other"].finished.text)
    assert outcomes["other"].finished.completion_tokens == 6


@pytest.mark.parametrize("budget", [1, 2, 13])
def test_the_token_budget_is_used_up_and_not_exceeded(case: GeneratorCase, budget: int) -> None:
    finished = generate(case.engine, chat("one", case.endless, max_new_tokens=budget))
    assert (finished.completion_tokens, finished.finish_reason) == (budget, "length")


def test_an_answer_that_ends_by_itself_stops_before_its_budget(case: GeneratorCase) -> None:
    finished = generate(case.engine, chat("one", case.short, max_new_tokens=200))
    assert finished.finish_reason == "stop"
    assert 0 < finished.completion_tokens < 200


def test_the_stop_string_that_is_met_first_ends_the_text_before_it(case: GeneratorCase, whole: str) -> None:
    later, earlier = whole[-6:-2], whole[len(whole) // 3 : len(whole) // 3 + 3]
    outcome = run(case.engine, chat("cut", case.endless, max_new_tokens=16, stop=(later, earlier)))["cut"]
    assert outcome.finished.text == whole[: min(whole.index(later), whole.index(earlier))] == "".join(outcome.deltas)
    assert outcome.finished.finish_reason == "stop"
    assert outcome.finished.completion_tokens < 16


def test_deltas_add_up_to_the_text_and_hold_whole_characters(case: GeneratorCase) -> None:
    prompts = {
        "emoji": "Say hello in Spanish with many emoji 😊🌍👩‍🚀 and accents: ¡mañana, canción, pingüino!",
        "endless": case.endless,
    }
    outcomes = run(case.engine, *(chat(name, text, max_new_tokens=32) for name, text in prompts.items()))
    for outcome in outcomes.values():
        assert len(outcome.deltas) > 1
        assert "".join(outcome.deltas) == outcome.finished.text
        # Only the budget may cut through a character, and only the last one.
        assert "\ufffd" not in outcome.finished.text
    emoji = outcomes["emoji"].finished.text
    assert any(ord(character) > 0xFF for character in emoji), f"this text tests nothing: {emoji!r}"


def test_without_streaming_there_is_only_the_end(case: GeneratorCase) -> None:
    outcome = run(case.engine, chat("one", case.endless, stream=False))["one"]
    assert outcome.deltas == []
    assert outcome.first_tokens == 1
    assert outcome.finished.text


def test_a_cancelled_request_is_silent_and_leaves_room(case: GeneratorCase) -> None:
    cancelled = Outcome()
    case.engine.submit(chat("cancelled", case.endless, max_new_tokens=300))
    step_until(case.engine, lambda: bool(cancelled.deltas), {"cancelled": cancelled})
    case.engine.cancel("cancelled")
    assert case.engine.running == 0
    # run() knows only the next request: an event of the cancelled one would be an error.
    assert generate(case.engine, chat("next", case.endless, max_new_tokens=8)).completion_tokens == 8
    assert cancelled.end is None


def test_a_request_can_be_cancelled_before_its_first_step(case: GeneratorCase) -> None:
    case.engine.submit(chat("cancelled", case.endless, max_new_tokens=300))
    case.engine.cancel("cancelled")
    case.engine.cancel("never heard of")
    assert case.engine.running == 0
    assert generate(case.engine, chat("next", case.endless, max_new_tokens=4)).completion_tokens == 4


def test_an_id_can_be_used_again_after_a_cancel(case: GeneratorCase) -> None:
    outcome = Outcome()
    case.engine.submit(chat("same", case.endless, max_new_tokens=300))
    step_until(case.engine, lambda: outcome.first_tokens == 1, {"same": outcome})
    case.engine.cancel("same")
    assert generate(case.engine, chat("same", case.endless, max_new_tokens=5)).completion_tokens == 5


def test_concurrent_requests_each_follow_their_own_settings(case: GeneratorCase) -> None:
    requests = [
        chat(
            f"{index}",
            case.endless,
            max_new_tokens=3 + 2 * index,
            temperature=0.3 * index,
            top_p=1 - index / 20,
            seed=index,
        )
        for index in range(8)
    ]
    stop = " "  # in any text of sixteen tokens, however the batch rounds
    outcomes = run(case.engine, *requests, chat("stopped", case.endless, max_new_tokens=16, stop=(stop,)))
    for index in range(8):
        finished = outcomes[f"{index}"].finished
        if finished.finish_reason == "length":
            assert finished.completion_tokens == 3 + 2 * index
        else:
            assert finished.completion_tokens < 3 + 2 * index
    assert outcomes["0"].finished.finish_reason == "length"
    assert stop not in outcomes["stopped"].finished.text
    assert outcomes["stopped"].finished.finish_reason == "stop"


def test_a_prompt_longer_than_the_context_is_refused_with_both_counts(case: GeneratorCase) -> None:
    context = case.engine.info.context_length
    with pytest.raises(ServiceError) as refusal:
        case.engine.submit(chat("long", "word " * (context + 10)))
    assert refusal.value.type == ContextLengthExceeded.type
    assert refusal.value.details["context_length"] == context
    assert refusal.value.details["prompt_tokens"] > context
    assert case.engine.running == 0


def test_an_answer_ends_where_the_context_does(case: GeneratorCase, monkeypatch: pytest.MonkeyPatch) -> None:
    prompt_tokens = generate(case.engine, chat("one", case.endless, max_new_tokens=1)).prompt_tokens
    monkeypatch.setattr(case.engine, "info", replace(case.engine.info, context_length=prompt_tokens + 5))
    finished = generate(case.engine, chat("two", case.endless, max_new_tokens=50))
    assert (finished.completion_tokens, finished.finish_reason) == (5, "length")


def test_prompt_tokens_count_the_whole_conversation(case: GeneratorCase) -> None:
    short = chat("short", "uno dos tres", max_new_tokens=2)
    turns = (ChatMessage("system", "Eres breve."), ChatMessage("user", "hola"), ChatMessage("assistant", "buenas"))
    longer = GenerationRequest("longer", (*turns, *short.messages), short.sampling)
    outcomes = run(case.engine, short, longer)
    assert outcomes["longer"].finished.prompt_tokens > outcomes["short"].finished.prompt_tokens >= 3
    assert outcomes["short"].finished.completion_tokens <= 2


def test_a_request_that_fails_does_not_harm_the_others(case: GeneratorCase) -> None:
    expected = generate(case.engine, chat("alone", case.endless, max_new_tokens=6))
    with case.sabotage():
        outcomes = run(
            case.engine,
            chat("before", case.endless, max_new_tokens=12),
            case.breaking("guilty"),
            chat("after", case.endless, max_new_tokens=12),
        )
    assert outcomes["guilty"].failed.error.type == case.broken_as.type
    assert outcomes["guilty"].failed.error.message
    for name in ("before", "after"):
        assert outcomes[name].finished.completion_tokens == 12
    assert generate(case.engine, chat("next", case.endless, max_new_tokens=6)) == replace(expected, request_id="next")
