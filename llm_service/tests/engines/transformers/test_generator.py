"""What is particular to the transformers engine; the rest is in the suite that all engines share."""

import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from engines.base import EngineBroken
from engines.errors import ContextLengthExceeded, GenerationFailed, ServiceError, Unsupported
from engines.events import Failed, Finished, FirstToken, RequestEvent
from engines.requests import ChatMessage, GenerationRequest
from engines.transformers.generator import TransformersGenerator
from engines.transformers.loading import library
from tests.engines.driving import Outcome, chat, generate, run, step_until
from tests.engines.tiny_engine import LoadTiny, say, watch_passes
from tests.engines.tiny_model import CONTEXT, save_tiny_model


@pytest.mark.parametrize("end", [256, 257])
def test_each_of_several_end_tokens_ends_the_answer(load_tiny: LoadTiny, tmp_path: Path, end: int) -> None:
    engine = load_tiny(save_tiny_model(tmp_path / "model", eos=[256, 257]))
    say(engine, 40, 41, end, 42)
    finished = generate(engine, chat("one", "hola", max_new_tokens=10))
    assert (finished.finish_reason, finished.completion_tokens) == ("stop", 3)
    assert len(finished.text) == 2


def test_the_end_token_as_the_last_one_allowed_is_a_stop(load_tiny: LoadTiny) -> None:
    engine = load_tiny()
    say(engine, 40, 256)
    assert generate(engine, chat("one", "hola", max_new_tokens=2)).finish_reason == "stop"


def test_thinking_is_passed_to_the_chat_template(load_tiny: LoadTiny) -> None:
    engine = load_tiny()
    plain = chat("one", "hola", max_new_tokens=1)
    thinking = GenerationRequest("two", plain.messages, plain.sampling, enable_thinking=True)
    counts = [generate(engine, request).prompt_tokens for request in (plain, thinking)]
    assert counts[1] == counts[0] + len("<think>")


@pytest.mark.parametrize("thinking", [True, False])
def test_the_first_token_says_whether_the_template_has_opened_the_thought(load_tiny: LoadTiny, thinking: bool) -> None:
    engine = load_tiny()
    plain = chat("one", "hola", max_new_tokens=1)
    engine.submit(GenerationRequest("one", plain.messages, plain.sampling, enable_thinking=thinking))
    events: list[RequestEvent] = []
    while engine.running:
        events.extend(engine.step())
    assert [event.inside_thought for event in events if isinstance(event, FirstToken)] == [thinking]


def test_messages_the_template_refuses_are_refused(load_tiny: LoadTiny) -> None:
    request = chat("one", "hola")
    messages = (ChatMessage("system", "no"), *request.messages)
    with pytest.raises(ServiceError) as refusal:
        load_tiny().submit(GenerationRequest("one", messages, request.sampling))
    assert refusal.value.type == Unsupported.type


def plain_greedy(engine: TransformersGenerator, text: str, count: int) -> list[int]:
    """What ``generate()`` alone makes of a message."""
    loaded = engine.loaded
    encoded = loaded.tokenizer.apply_chat_template(
        [{"role": "user", "content": text}], add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )
    with torch.inference_mode():
        stop = sorted(loaded.stop_ids)
        ids = loaded.model.generate(**encoded, max_new_tokens=count, eos_token_id=stop, do_sample=False)
    tokens: list[int] = ids[0, encoded["input_ids"].shape[1] :].tolist()
    return tokens


@pytest.mark.parametrize("prefill_tokens", [0, 8])
def test_greedy_decoding_is_that_of_plain_generate_token_for_token(load_tiny: LoadTiny, prefill_tokens: int) -> None:
    engine = load_tiny(max_batched_tokens=prefill_tokens)
    texts = ["hola", "una pregunta más larga que la otra, con acentos y ñ"]
    # Half a character at the end is none.
    expected = [engine._decode(plain_greedy(engine, text, 24)).rstrip("\ufffd") for text in texts]
    alone = [generate(engine, chat("alone", text, max_new_tokens=24)).text for text in texts]
    outcomes = run(engine, *(chat(f"{at}", text, max_new_tokens=24) for at, text in enumerate(texts)))
    assert alone == expected
    assert [outcomes[f"{at}"].finished.text for at in range(len(texts))] == expected


def test_a_row_that_joins_late_gets_the_same_greedy_text(load_tiny: LoadTiny) -> None:
    engine = load_tiny()
    expected = generate(engine, chat("alone", "una pregunta corta", max_new_tokens=20)).text
    outcomes = {name: Outcome() for name in ("long", "late", "short")}
    engine.submit(chat("long", "la primera, que es mucho más larga", max_new_tokens=40))
    step_until(engine, lambda: len(outcomes["long"].deltas) > 3, outcomes)
    engine.submit(chat("short", "x", max_new_tokens=3))
    engine.submit(chat("late", "una pregunta corta", max_new_tokens=20))
    step_until(engine, lambda: all(outcome.end for outcome in outcomes.values()), outcomes)
    assert outcomes["late"].finished.text == expected
    # It left while the first one went on.
    assert outcomes["long"].finished.completion_tokens == 40


@pytest.mark.parametrize("bound", ["rows", "kv_cache"])
def test_no_more_requests_are_computed_together_than_fit(load_tiny: LoadTiny, bound: str) -> None:
    engine = load_tiny(max_batch=2 if bound == "rows" else 8)
    if bound == "kv_cache":
        engine.loaded = replace(engine.loaded, kv_tokens=2 * (len("<user>hola") + 8))
    passes = watch_passes(engine)
    outcomes = run(engine, *(chat(f"{at}", "hola", max_new_tokens=2 + at) for at in range(7)))
    assert [outcomes[f"{at}"].finished.completion_tokens for at in range(7)] == [2, 3, 4, 5, 6, 7, 8]
    assert max(len(ids) for ids in passes) == 2


def test_a_short_prompt_is_read_between_the_parts_of_a_long_one(load_tiny: LoadTiny) -> None:
    engine = load_tiny(max_batched_tokens=8)
    read = watch_passes(engine, lambda _ids: time.sleep(0.11))
    outcomes = {"long": Outcome(), "short": Outcome()}
    engine.submit(chat("long", "x" * 80, max_new_tokens=2))
    engine.step()
    engine.submit(chat("short", "y", max_new_tokens=1))
    seen = len(read)
    step_until(engine, lambda: outcomes["short"].end is not None, outcomes)
    assert len(read) - seen <= 2
    assert outcomes["long"].first_tokens == 0
    step_until(engine, lambda: outcomes["long"].end is not None, outcomes)


def test_a_long_prompt_is_read_although_short_ones_keep_coming(load_tiny: LoadTiny) -> None:
    engine = load_tiny(max_batched_tokens=8)
    engine._part = 8
    watch_passes(engine, lambda _ids: time.sleep(0.11))
    outcomes = {"long": Outcome()}
    engine.submit(chat("long", "x" * 30, max_new_tokens=1))
    for at in range(60):
        outcomes[f"{at}"] = Outcome()
        engine.submit(chat(f"{at}", "y", max_new_tokens=1))
        for event in engine.step():
            outcomes[event.request_id].take(event)
        if outcomes["long"].end is not None:
            break
    assert outcomes["long"].finished.completion_tokens == 1


def test_a_cancelled_request_is_computed_no_further(load_tiny: LoadTiny) -> None:
    engine = load_tiny(max_batched_tokens=8, max_batch=1)
    passes = watch_passes(engine)
    for name in ("reading", "queued"):
        engine.submit(chat(name, "zzzz" * 15, max_new_tokens=5))
    engine.step()
    engine.cancel("reading")
    engine.cancel("queued")
    assert engine.running == 0
    seen = len(passes)
    generate(engine, chat("next", "y", max_new_tokens=1))
    read = "".join(engine.loaded.tokenizer.decode(ids.flatten()) for ids in passes[seen:])
    assert read == "<user>y"


def fails_for(engine: TransformersGenerator, is_guilty: Callable[[torch.Tensor], bool], error: Exception) -> Any:
    """Have every pass fail whose token ids (rows, tokens) are guilty."""

    def fail(_module: Any, _args: Any, inputs: dict[str, Any]) -> None:
        if is_guilty(inputs["input_ids"]):
            raise error

    return engine.loaded.model.register_forward_pre_hook(fail, with_kwargs=True)


def test_a_prompt_that_fails_fails_alone(load_tiny: LoadTiny) -> None:
    engine = load_tiny()
    hook = fails_for(engine, lambda ids: ord("Z") in decoded(engine, ids), RuntimeError("secret detail"))
    outcomes = run(engine, chat("one", "hola"), chat("bad", "Z"), chat("two", "hola"))
    hook.remove()
    assert outcomes["bad"].failed.error.type == GenerationFailed.type
    assert "secret detail" not in outcomes["bad"].failed.error.message
    assert outcomes["one"].finished.text == outcomes["two"].finished.text
    assert generate(engine, chat("three", "hola")).text == outcomes["one"].finished.text


def decoded(engine: TransformersGenerator, ids: torch.Tensor) -> list[int]:
    return [ord(character) for character in engine.loaded.tokenizer.decode(ids.flatten())]


@pytest.mark.parametrize("error", [RuntimeError("a kernel failed"), torch.OutOfMemoryError("CUDA out of memory")])
def test_after_a_failed_pass_of_the_batch_the_others_go_on(load_tiny: LoadTiny, error: Exception) -> None:
    engine = load_tiny()
    expected = generate(engine, chat("alone", "hola", max_new_tokens=12)).text
    together = {"count": 0}

    def third_of_two(ids: torch.Tensor) -> bool:
        together["count"] += ids.shape == (2, 1)
        return ids.shape == (2, 1) and together["count"] == 3

    hook = fails_for(engine, third_of_two, error)
    outcomes = run(engine, chat("one", "hola", max_new_tokens=12), chat("longer", "hola, hola", max_new_tokens=12))
    hook.remove()
    assert outcomes["one"].finished.text == expected
    gave_way = isinstance(error, torch.OutOfMemoryError)
    assert isinstance(outcomes["longer"].end, Failed if gave_way else Finished)


def test_the_row_that_makes_a_batch_fail_fails_alone(load_tiny: LoadTiny) -> None:
    engine = load_tiny()
    expected = generate(engine, chat("alone", "hola", max_new_tokens=12)).text
    guilty = engine.loaded.tokenizer.encode("Z")[0]
    outcomes = {"one": Outcome(), "bad": Outcome()}
    for name in outcomes:
        engine.submit(chat(name, "hola", max_new_tokens=12))
    step_until(engine, lambda: len(engine._batch.rows) == 2, outcomes)
    engine._batch.rows[1].unread[0] = guilty
    hook = fails_for(engine, lambda ids: guilty in ids, RuntimeError("only this row"))
    step_until(engine, lambda: all(outcome.end for outcome in outcomes.values()), outcomes)
    hook.remove()
    assert outcomes["bad"].failed.error.type == GenerationFailed.type
    assert outcomes["one"].finished.text == expected


def test_text_that_cannot_be_assembled_fails_its_request_alone(load_tiny: LoadTiny) -> None:
    engine = load_tiny()
    outcomes = {"one": Outcome(), "bad": Outcome()}
    for name in outcomes:
        engine.submit(chat(name, "hola", max_new_tokens=12))
    row = next(row for row in engine._rows if row.request.id == "bad")
    row.text.push = lambda _ids: 1 / 0  # type: ignore[assignment, method-assign, return-value]
    step_until(engine, lambda: all(outcome.end for outcome in outcomes.values()), outcomes)
    assert outcomes["bad"].failed.error.type == GenerationFailed.type
    assert outcomes["one"].finished.completion_tokens > 0


def test_a_token_without_weights_is_refused(load_tiny: LoadTiny) -> None:
    engine = load_tiny()
    engine.loaded = replace(engine.loaded, vocabulary=50)
    with pytest.raises(ServiceError) as refusal:
        engine.submit(chat("one", "hola"))
    assert refusal.value.type == Unsupported.type


def test_what_cannot_fit_is_refused_before_it_is_tokenized(load_tiny: LoadTiny) -> None:
    engine = load_tiny()
    engine.loaded.tokenizer.apply_chat_template = None
    with pytest.raises(ServiceError) as refusal:
        engine.submit(chat("one", "palabra " * 1_000_000))
    assert refusal.value.type == ContextLengthExceeded.type


def test_a_lost_accelerator_breaks_the_engine(load_tiny: LoadTiny) -> None:
    engine = load_tiny()
    fails_for(engine, lambda _ids: True, torch.AcceleratorError("assert"))
    engine.submit(chat("one", "hola"))
    with pytest.raises(EngineBroken):
        engine.step()


def save_tiny(folder: Path, config: Any) -> Path:
    """Write a random model of another architecture with the tiny model's tokenizer."""
    save_tiny_model(folder)
    torch.manual_seed(0)
    library.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


SIZES = {
    "vocab_size": 258,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
    "bos_token_id": None,
    "eos_token_id": 256,
    "pad_token_id": None,
}


@pytest.mark.parametrize("architecture", ["sliding window", "convolution"])
def test_other_kinds_of_layers_decode_as_plain_generate(load_tiny: LoadTiny, tmp_path: Path, architecture: str) -> None:
    if architecture == "sliding window":
        config = library.MistralConfig(**SIZES, sliding_window=8)
    else:
        config = library.Lfm2Config(**SIZES, layer_types=["conv", "full_attention"])
    engine = load_tiny(save_tiny(tmp_path / "model", config), max_batched_tokens=8)
    assert engine.loaded.batched == (architecture == "sliding window")
    texts = ["hola", "una pregunta más larga que la otra"]
    expected = [engine._decode(plain_greedy(engine, text, 16)).rstrip("\ufffd") for text in texts]
    outcomes = run(engine, *(chat(f"{at}", text, max_new_tokens=16) for at, text in enumerate(texts)))
    assert [outcomes[f"{at}"].finished.text for at in range(len(texts))] == expected


def test_a_thought_is_closed_at_its_budget_and_leaves_room_for_the_answer(load_tiny: LoadTiny) -> None:
    engine = load_tiny()
    plain = chat("one", "hola", max_new_tokens=60)
    for budget, closed_by in ((5, 5), (None, 45)):
        request = replace(plain, enable_thinking=True, thinking_budget=budget)
        text = generate(engine, request).text
        assert text.index("</think>") <= closed_by + 1


def test_the_token_with_the_id_0_can_close_a_thought(load_tiny: LoadTiny, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = load_tiny(max_batched_tokens=64)
    say(engine, *[40] * 6)
    monkeypatch.setattr(engine.loaded.tokenizer, "encode", lambda *_, **__: [0, 1])
    request = replace(chat("one", "hola", max_new_tokens=6), enable_thinking=True, thinking_budget=2)
    assert generate(engine, request).text == engine._decode([40, 40, 0, 1, 40, 40])


def test_a_grammar_and_the_probabilities_of_its_tokens(load_tiny: LoadTiny) -> None:
    request = chat("one", "hola", max_new_tokens=30, grammar='root ::= "a" [bc]{3} "ñ"')
    request = replace(request, sampling=replace(request.sampling, logprobs=0))
    outcome = generate(load_tiny(), request)
    assert re.fullmatch("a[bc]{3}ñ", outcome.text)
    assert outcome.finish_reason == "stop"
    assert all(each.logprob <= 0 for each in outcome.logprobs)
    assert len(outcome.logprobs) == outcome.completion_tokens


def test_an_invalid_grammar_is_refused(load_tiny: LoadTiny) -> None:
    with pytest.raises(ServiceError) as refusal:
        load_tiny().submit(chat("one", "hola", grammar="root ::= nowhere ("))
    assert refusal.value.type == Unsupported.type
