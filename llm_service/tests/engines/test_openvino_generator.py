"""What the OpenVINO engine does beyond the common suite, on the embedded model."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.base import ChatMessage, Finished, GenerationRequest, RequestEvent, SamplingParams, TextDelta
from engines.models import ModelArtifact
from engines.openvino_generator import OpenVinoGenerator
from engines.openvino_lane import Lane
from tests.engines.driving import Outcome, chat, generate, run

pytestmark = pytest.mark.model

PASSAGE = "one two three one two three one two three one two three one two three"


def load(model_file: Path, **options: object) -> OpenVinoGenerator:
    artifact = ModelArtifact(model_file, "gguf", "SmolLM2-135M-Instruct", "embedded")
    return OpenVinoGenerator(artifact, **({"max_batch": 8} | options))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def engine(language_model_file: Path) -> Iterator[OpenVinoGenerator]:
    engine = load(language_model_file)
    yield engine
    engine.close()


def quoting(request_id: str, *, temperature: float = 0.0) -> GenerationRequest:
    """A request whose answer is repetition, as its system message asks."""
    sampling = SamplingParams(48, temperature, 1.0)
    messages = (ChatMessage("system", "Continue the pattern."), ChatMessage("user", PASSAGE))
    return GenerationRequest(request_id, messages, sampling)


def steps_of(engine: OpenVinoGenerator, request: GenerationRequest) -> tuple[str, int, int]:
    """Run a request alone; return its text, its tokens and the steps it took."""
    engine.submit(request)
    outcomes, steps = {request.id: Outcome()}, 0
    while engine.running:
        steps += 1
        for event in engine.step():
            outcomes[request.id].take(event)
    finished = outcomes[request.id].finished
    return finished.text, finished.completion_tokens, steps


@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_with_a_seed_the_text_is_the_same_whatever_else_is_generated(
    engine: OpenVinoGenerator, temperature: float
) -> None:
    facts = " ".join(f"River {number} is {number * 7 % 23} km long." for number in range(60))

    def ask(request_id: str, text: str) -> GenerationRequest:
        return chat(request_id, text, max_new_tokens=48, temperature=temperature, top_p=0.95, seed=11, stream=False)

    for text in ("Write about a fox and a river.", f"{facts} Which river is the longest?"):
        alone = generate(engine, ask("alone", text)).text
        others = [chat(f"other {n}", f"Tell me about animal {n}.", max_new_tokens=20 + n) for n in range(5)]
        outcomes = run(engine, *others, ask("first", text), ask("second", text))
        assert outcomes["first"].finished.text == outcomes["second"].finished.text == alone


def test_a_request_with_a_seed_can_be_cancelled_while_it_waits(engine: OpenVinoGenerator) -> None:
    for request_id in ("first", "second"):
        engine.submit(chat(request_id, "Tell me about the sea.", max_new_tokens=64, seed=1))
    engine.cancel("second")
    engine.step()
    engine.cancel("first")
    assert engine.running == 0


def test_without_the_memory_requests_with_a_seed_go_with_the_others(
    language_model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engines.openvino_second_lane.available_memory_bytes", lambda: 10**8)
    engine = load(language_model_file)
    assert generate(engine, chat("seeded", "Say hello.", max_new_tokens=4, seed=1)).completion_tokens
    assert engine.solo is not None
    assert engine.solo.second.unavailable
    assert generate(engine, chat("seeded again", "Say hello.", max_new_tokens=4, seed=1)).completion_tokens


def test_a_stream_is_told_of_its_first_word_at_once_and_of_the_rest_by_the_interval(language_model_file: Path) -> None:
    engine = load(language_model_file, stream_interval_s=60.0)
    engine.submit(chat("streamed", "Tell me about the sea.", max_new_tokens=24))
    events: list[RequestEvent] = []
    while engine.running:
        events += engine.step()
    deltas = [event.text for event in events if isinstance(event, TextDelta)]
    (finished,) = (event for event in events if isinstance(event, Finished))
    assert len(deltas) == 2
    assert finished.text.startswith(deltas[0])
    assert "".join(deltas) == finished.text
    assert finished.completion_tokens == 24


def test_a_stop_string_ends_an_answer_before_the_interval_does(language_model_file: Path) -> None:
    engine = load(language_model_file, stream_interval_s=60.0)
    outcome = generate(engine, chat("stopped", "Count: one two three", max_new_tokens=64, stop=(" ",)))
    assert outcome.finish_reason == "stop"
    assert outcome.completion_tokens < 10


def open_lookup(engine: OpenVinoGenerator) -> Lane:
    """Let the engine see that answers are repetition, and wait until it is prepared for more."""
    for request_id in ("first", "second"):
        generate(engine, quoting(request_id))
    assert engine.prompt_lookup is not None
    engine.prompt_lookup.second.wait()
    assert engine.prompt_lookup.second.lane is not None
    return engine.prompt_lookup.second.lane


def test_answers_that_are_repetition_are_generated_in_fewer_steps(engine: OpenVinoGenerator) -> None:
    text, tokens, steps = steps_of(engine, quoting("plain"))
    assert steps >= tokens
    open_lookup(engine)
    quick_text, quick_tokens, quick_steps = steps_of(engine, quoting("quick"))
    assert (quick_text, quick_tokens) == (text, tokens)
    assert quick_steps * 2 <= quick_tokens


def test_an_answer_in_the_second_pipeline_can_be_cancelled(engine: OpenVinoGenerator) -> None:
    lane = open_lookup(engine)
    engine.submit(quoting("third"))
    assert "third" in lane
    engine.step()
    engine.cancel("third")
    assert engine.running == 0
    assert generate(engine, quoting("fourth")).text


def test_a_request_that_comes_beside_others_goes_with_them(engine: OpenVinoGenerator) -> None:
    lane = open_lookup(engine)
    engine.submit(chat("other", "Tell me about the sea.", max_new_tokens=64))
    engine.submit(quoting("beside"))
    assert "beside" not in lane
    engine.close()


def test_answers_that_repeat_nothing_open_no_second_pipeline(language_model_file: Path) -> None:
    engine = load(language_model_file)
    for number in range(3):
        generate(engine, chat(f"{number}", f"Tell me story {number}.", max_new_tokens=32, temperature=1.0))
    assert engine.prompt_lookup is not None
    engine.prompt_lookup.second.wait(0)
    assert engine.prompt_lookup.second.lane is None


def test_prompt_lookup_can_be_switched_off(language_model_file: Path) -> None:
    engine = load(language_model_file, prompt_lookup=False)
    assert engine.prompt_lookup is None
    _, tokens, steps = steps_of(engine, quoting("first"))
    assert steps >= tokens
    engine.close()


def test_the_step_is_measured_and_kept_for_the_next_start(language_model_file: Path, tmp_path: Path) -> None:
    engine = load(language_model_file, cache_dir=tmp_path)
    engine.warm_up()
    (kept,) = json.loads((tmp_path / "step-sizes.json").read_text(encoding="utf-8")).values()
    assert kept == engine.step_tokens
    assert load(language_model_file, cache_dir=tmp_path).step_tokens == kept
    assert generate(engine, chat("after", "Say hello.", max_new_tokens=4)).completion_tokens


def test_a_step_that_takes_too_long_is_made_shorter(
    language_model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engines.step_size.measure", lambda _read, _tokens: 1.0)
    engine = load(language_model_file, cache_dir=tmp_path)
    before = engine.step_tokens
    engine.warm_up()
    assert engine.step_tokens == before // 5 // 32 * 32
    assert generate(engine, chat("after", "Say hello.", max_new_tokens=4)).completion_tokens


def test_a_configured_step_is_left_alone(language_model_file: Path, tmp_path: Path) -> None:
    engine = load(language_model_file, max_batched_tokens=64, cache_dir=tmp_path)
    engine.warm_up()
    assert engine.step_tokens == 64
    assert not (tmp_path / "step-sizes.json").exists()
