"""The OpenVINO engine beyond the common suite, on the embedded model."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest

from engines.errors import ContextLengthExceeded, GenerationFailed, Unsupported
from engines.events import Finished, FirstToken, RequestEvent, TextDelta
from engines.openvino.generator import OpenVinoGenerator
from engines.openvino.options import properties
from engines.openvino.prefill import STEP_GRAIN
from engines.requests import ChatMessage
from models.artifacts import ModelArtifact
from tests.engines.conftest import settings_with
from tests.engines.driving import Outcome, chat, generate, run, step_until

pytestmark = pytest.mark.model

STEP = 128
REFERENCE = json.loads((Path(__file__).parents[1] / "embedded_answers.json").read_text(encoding="utf-8"))


def load(folder: Path, **options: Any) -> OpenVinoGenerator:
    artifact = ModelArtifact(folder, "openvino", "SmolLM2-135M-Instruct", "embedded")
    usual = {"llm_max_batch": 8, "llm_max_batched_tokens": STEP, "model_cache_dir": folder / "no-such-folder"}
    return OpenVinoGenerator(artifact, settings_with(**(usual | options)))


@pytest.fixture(scope="module")
def engine(openvino_model_folder: Path) -> Iterator[OpenVinoGenerator]:
    engine = load(openvino_model_folder)
    yield engine
    engine.close()


def test_the_embedded_copy_computes_the_model_exactly(openvino_model_folder: Path) -> None:
    """The likeliest next token along the reference's answers: 8-bit weights or activations change one in 50."""
    model = openvino.Core().compile_model(openvino_model_folder / "openvino_model.xml", "CPU", properties("auto"))
    assert model.get_property("DYNAMIC_QUANTIZATION_GROUP_SIZE") == 0
    assert model.get_property("INFERENCE_PRECISION_HINT") == openvino.Type.f32
    request = model.create_infer_request()
    other = total = 0
    for answer in REFERENCE["answers"]:
        prompt, tokens = answer["prompt"], answer["tokens"]
        ids = np.array([[*prompt, *tokens]])
        places = np.arange(ids.shape[1])[None]
        request.reset_state()
        given = {
            "input_ids": ids,
            "position_ids": places,
            "attention_mask": np.ones_like(ids),
            "beam_idx": np.zeros(1, np.int32),
        }
        likeliest = next(iter(request.infer(given).values()))[0].argmax(-1)
        other += int(np.count_nonzero(likeliest[len(prompt) - 1 : -1] != tokens))
        total += len(tokens)
    assert other / total <= 0.002


@pytest.fixture(scope="module")
def patient(openvino_model_folder: Path) -> Iterator[OpenVinoGenerator]:
    """One that reads prompts whole and streams once a second."""
    engine = load(openvino_model_folder, llm_max_batched_tokens=2048, llm_stream_interval_ms=1000.0)
    yield engine
    engine.close()


def test_a_stream_reports_its_first_word_at_once_and_the_rest_by_the_interval(patient: OpenVinoGenerator) -> None:
    engine = patient
    engine.submit(chat("streamed", "Tell me about the sea.", max_new_tokens=8))
    events: list[RequestEvent] = []
    while engine.running:
        events += engine.step()
    deltas = [event.text for event in events if isinstance(event, TextDelta)]
    (finished,) = (event for event in events if isinstance(event, Finished))
    assert len(deltas) < 8
    assert finished.text.startswith(deltas[0])
    assert "".join(deltas) == finished.text
    stopped = generate(engine, chat("stopped", "Count: one two three", max_new_tokens=64, stop=(" ",)))
    assert stopped.completion_tokens < 10


# --- parts of long prompts ----------------------------------------------------------------------


def facts(tokens: int) -> str:
    """Return a text of about ``tokens`` tokens that no other test's prompt begins like."""
    return " ".join(f"River {number} is {number * 7 % 23} km long." for number in range(tokens // 10))


def test_a_short_prompt_is_read_between_the_parts_of_a_long_one(engine: OpenVinoGenerator) -> None:
    outcomes = {"long": Outcome(), "short": Outcome()}
    engine.submit(chat("long", f"{facts(1500)} Which is the longest?", max_new_tokens=4))
    engine.step()
    engine.submit(chat("short", "Say hello.", max_new_tokens=4))
    steps = 0
    while not outcomes["short"].first_tokens:
        steps += 1
        for event in engine.step():
            outcomes[event.request_id].take(event)
    assert steps <= 2
    assert not outcomes["long"].first_tokens
    step_until(engine, lambda: all(outcome.end for outcome in outcomes.values()), outcomes)
    assert outcomes["long"].finished.prompt_tokens > 1000


def test_a_prompt_that_begins_has_a_step_without_a_part_but_never_two_in_a_row(engine: OpenVinoGenerator) -> None:
    engine.submit(chat("long", f"Further {facts(1500)}", max_new_tokens=4))
    engine.step()
    engine.submit(chat("short", "Say hello.", max_new_tokens=8))
    engine.step()
    assert engine.batch_size == 1
    engine.submit(chat("other", "Say goodbye.", max_new_tokens=8))
    engine.step()
    assert engine.batch_size == 3
    for name in ("long", "short", "other"):
        engine.cancel(name)


def test_a_prompt_read_in_parts_is_answered_as_one_read_at_once(
    engine: OpenVinoGenerator, patient: OpenVinoGenerator
) -> None:
    question = f"{facts(600)} Write about the first river."
    assert (
        generate(engine, chat("parts", question, max_new_tokens=12)).text
        == generate(patient, chat("whole", question, max_new_tokens=12)).text
    )


def test_a_prompt_can_be_cancelled_between_its_parts(engine: OpenVinoGenerator) -> None:
    engine.submit(chat("long", f"Other {facts(1200)}", max_new_tokens=4))
    for _ in range(3):
        engine.step()
    engine.cancel("long")
    assert engine.running == 0
    assert generate(engine, chat("next", "Say hello.", max_new_tokens=3)).completion_tokens == 3


def test_what_cannot_fit_is_refused_before_it_is_tokenized(
    engine: OpenVinoGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_tokenizing(_text: str) -> list[int]:
        raise AssertionError("tokenized")

    monkeypatch.setattr(engine._pipeline, "encode", no_tokenizing)
    with pytest.raises(ContextLengthExceeded) as refusal:
        engine.submit(chat("huge", "palabra " * 1_000_000))
    assert refusal.value.details["prompt_tokens"] > refusal.value.details["context_length"]


def test_blank_space_is_not_counted_against_a_prompt(engine: OpenVinoGenerator) -> None:
    engine.submit(chat("blank", f"hello{' ' * 20_000}there", max_new_tokens=1))
    engine.cancel("blank")


# --- what one request causes --------------------------------------------------------------------

INNOCENT = {
    "greedy": chat("greedy", "Tell me about the sea.", max_new_tokens=10),
    "seeded": chat("seeded", "Tell me about the moon.", max_new_tokens=10, temperature=0.8, seed=3),
    "schema": chat("schema", "Name a fish.", max_new_tokens=10, json_schema='{"type": "object"}'),
}


@pytest.fixture(scope="module")
def alone(engine: OpenVinoGenerator) -> dict[str, str]:
    """The texts of the innocent requests, each generated alone."""
    return {name: generate(engine, request).text for name, request in INNOCENT.items()}


class Sabotage:
    """Makes the pipeline's step raise while a request with ``text`` in its prompt is in the batch."""

    def __init__(self, engine: OpenVinoGenerator, text: str, after_tokens: int) -> None:
        self._pipeline = engine._pipeline
        self._genai = engine._pipeline._pipeline
        self._text = text
        self._after_tokens = after_tokens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._genai, name)

    def step(self) -> None:
        for answer in self._pipeline._in_batch:
            guilty = self._text in answer.request.messages[0].content
            if guilty and answer.text.token_count >= self._after_tokens:
                raise RuntimeError("numbers that are not finite")
        self._genai.step()


@pytest.mark.parametrize("after_tokens", [0, 4])
def test_a_step_that_raises_fails_its_cause_alone(
    engine: OpenVinoGenerator, alone: dict[str, str], monkeypatch: pytest.MonkeyPatch, after_tokens: int
) -> None:
    monkeypatch.setattr(engine._pipeline, "_pipeline", Sabotage(engine, "guilty", after_tokens))
    outcomes = run(engine, *INNOCENT.values(), chat("guilty", "I am guilty.", max_new_tokens=10))
    assert isinstance(outcomes["guilty"].failed.error, GenerationFailed)
    assert not outcomes["guilty"].failed.error.retryable
    assert {name: outcomes[name].finished.text for name in INNOCENT} == alone


def failing_decode(decode: Callable[[list[list[int]]], list[str]], poison: int) -> Any:
    def fail(sequences: list[list[int]]) -> list[str]:
        if any(poison in ids for ids in sequences):
            raise RuntimeError("no such token")
        return decode(sequences)

    return fail


def test_tokens_that_are_no_text_fail_their_request_alone(
    engine: OpenVinoGenerator, alone: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    poison = 10**9
    monkeypatch.setattr(engine._pipeline, "decode", failing_decode(engine._pipeline.decode, poison))
    guilty = chat("guilty", "Count to ten.", max_new_tokens=10)
    outcomes = {name: Outcome() for name in (*INNOCENT, "guilty")}
    for request in (*INNOCENT.values(), guilty):
        engine.submit(request)

    def poisoned(events: Sequence[RequestEvent]) -> None:
        for event in events:
            if isinstance(event, FirstToken) and event.request_id == "guilty":
                engine._pipeline._answers["guilty"].text.add([poison])
            outcomes[event.request_id].take(event)

    while any(outcome.end is None for outcome in outcomes.values()):
        poisoned(engine.step())
    assert isinstance(outcomes["guilty"].failed.error, GenerationFailed)
    # A seed is best effort in a batch; greedy and bound texts are short enough not to depend on it.
    for name in ("greedy", "schema"):
        assert outcomes[name].finished.text == alone[name]
    assert outcomes["seeded"].finished.completion_tokens == 10


# --- step size and memory -----------------------------------------------------------------------


def test_a_step_that_reads_prompts_is_rounded_up_and_one_that_only_writes_is_not(
    engine: OpenVinoGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    added: list[list[int]] = []
    original = engine._pipeline._raw_request

    def noted(ids: Sequence[int], max_new_tokens: int) -> Any:
        added.append(list(ids))
        return original(ids, max_new_tokens)

    monkeypatch.setattr(engine._pipeline, "_raw_request", noted)
    monkeypatch.setattr(engine._pipeline, "vocabulary_size", 2)
    text = "Quietly the seven herons left the lake"
    length = len(engine._pipeline.encode(text, special=True))
    assert length % STEP_GRAIN
    engine.submit(replace(chat("raw", text, max_new_tokens=5), raw=True))
    steps = 0
    while engine.running:
        engine.step()
        steps += 1
    assert steps >= 5
    (filler,) = added
    assert len(filler) == -length % STEP_GRAIN
    assert set(filler) <= {0, 1}, "tokens that the model has"


def test_the_step_is_measured_and_kept_for_the_next_start(openvino_model_folder: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"model_cache_dir": tmp_path, "llm_max_batched_tokens": 0}
    engine = load(openvino_model_folder, **options)
    engine.warm_up()
    (kept,) = json.loads((tmp_path / "step-sizes.json").read_text(encoding="utf-8")).values()
    assert kept == engine.step_tokens
    assert load(openvino_model_folder, **options).step_tokens == kept
    assert generate(engine, chat("after", "Say hello.", max_new_tokens=4)).completion_tokens


def test_short_prompts_that_come_together_are_read_in_one_step(
    openvino_model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engines.openvino.step_size.guess", lambda _: 64)
    engine = load(openvino_model_folder, model_cache_dir=tmp_path, llm_max_batched_tokens=0)
    for number, word in enumerate(("river ", "tree ", "stone ")):
        engine.submit(replace(chat(f"{number}", word * 50, max_new_tokens=2), raw=True))
    assert [event.request_id for event in engine.step() if isinstance(event, FirstToken)] == ["0", "1", "2"]
    engine.close()


def test_a_thought_is_closed_at_its_budget_and_the_answer_goes_on(
    engine: OpenVinoGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engines.openvino.generator.begins_inside_thought", lambda *_: True)
    request = chat("thought", "Count to a hundred.", max_new_tokens=40)
    request = replace(request, enable_thinking=True, thinking_budget=6)
    outcome = run(engine, request)["thought"]
    thought, _, answer = outcome.finished.text.partition("</think>")
    assert len(thought.split()) <= 8
    assert answer.strip()
    assert "".join(outcome.deltas) == outcome.finished.text
    assert outcome.finished.completion_tokens <= 40


def test_the_chosen_tokens_probabilities_are_reported(engine: OpenVinoGenerator) -> None:
    request = chat("logprobs", "Name a fish.", max_new_tokens=6)
    finished = generate(engine, replace(request, sampling=replace(request.sampling, logprobs=0)))
    assert "".join(each.token for each in finished.logprobs) == finished.text
    assert all(each.logprob <= 0 for each in finished.logprobs)
    with pytest.raises(Unsupported):
        engine.submit(replace(request, sampling=replace(request.sampling, logprobs=2)))


def test_an_answer_is_continued(engine: OpenVinoGenerator) -> None:
    request = chat("continued", "What is the capital of Peru?", max_new_tokens=8)
    begun = replace(request, messages=(*request.messages, ChatMessage("assistant", "The capital of Peru is")))
    assert generate(engine, begun).prompt_tokens > generate(engine, request).prompt_tokens
    assert not generate(engine, begun).text.startswith("The capital")
