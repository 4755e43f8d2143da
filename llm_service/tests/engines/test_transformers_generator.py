"""What the transformers engine does whichever way it batches; the rest is in the suite that all engines share."""

import functools
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from engines.base import (
    ChatMessage,
    EngineBroken,
    Failure,
    FirstToken,
    GenerationRequest,
    RequestEvent,
    RequestRejected,
)
from engines.transformers_generator import TransformersGenerator
from tests.engines.driving import Outcome, chat, generate, run, step_until
from tests.engines.tiny_engine import LoadTiny, say, watch_passes
from tests.engines.tiny_model import CONTEXT, save_tiny_model


@pytest.fixture(params=["static", "continuous"])
def load(request: pytest.FixtureRequest, load_tiny: LoadTiny) -> LoadTiny:
    return functools.partial(load_tiny, batching=request.param)


def test_a_folder_of_safetensors_is_served(load: LoadTiny) -> None:
    engine = load()
    assert engine.info.artifact == "safetensors"
    assert engine.info.device == "cpu"
    assert engine.info.context_length == CONTEXT
    engine.warm_up()
    assert generate(engine, chat("one", "hola", max_new_tokens=5)).completion_tokens == 5


def test_greedy_decoding_ignores_the_model_s_own_sampling_settings(load: LoadTiny) -> None:
    texts = {generate(load(), chat("one", "hola", max_new_tokens=20)).text for _ in range(2)}
    assert len(texts) == 1


@pytest.mark.parametrize("end", [256, 257])
def test_each_of_several_end_tokens_ends_the_answer(load: LoadTiny, tmp_path: Path, end: int) -> None:
    engine = load(save_tiny_model(tmp_path / "model", eos=[256, 257]))
    say(engine, 40, 41, end, 42)
    finished = generate(engine, chat("one", "hola", max_new_tokens=10))
    assert (finished.finish_reason, finished.completion_tokens) == ("stop", 3)
    assert len(finished.text) == 2


def test_the_end_token_as_the_last_one_allowed_is_a_stop(load: LoadTiny) -> None:
    engine = load()
    say(engine, 40, 256)
    assert generate(engine, chat("one", "hola", max_new_tokens=2)).finish_reason == "stop"


def test_thinking_is_told_to_the_chat_template(load: LoadTiny) -> None:
    engine = load()
    plain = chat("one", "hola", max_new_tokens=1)
    thinking = GenerationRequest("two", plain.messages, plain.sampling, enable_thinking=True)
    counts = [generate(engine, request).prompt_tokens for request in (plain, thinking)]
    assert counts[1] == counts[0] + len("<think>")


@pytest.mark.parametrize("thinking", [True, False])
def test_the_first_token_says_whether_the_template_has_opened_the_thought(load: LoadTiny, thinking: bool) -> None:
    engine = load()
    plain = chat("one", "hola", max_new_tokens=1)
    engine.submit(GenerationRequest("one", plain.messages, plain.sampling, enable_thinking=thinking))
    events: list[RequestEvent] = []
    while engine.running:
        events.extend(engine.step())
    assert [event.inside_thought for event in events if isinstance(event, FirstToken)] == [thinking]


def test_messages_the_template_refuses_are_refused(load: LoadTiny) -> None:
    request = chat("one", "hola")
    messages = (ChatMessage("system", "no"), *request.messages)
    with pytest.raises(RequestRejected) as refusal:
        load().submit(GenerationRequest("one", messages, request.sampling))
    assert refusal.value.failure == Failure.UNSUPPORTED


def test_a_json_schema_is_refused(load: LoadTiny) -> None:
    with pytest.raises(RequestRejected) as refusal:
        load().submit(chat("one", "hola", json_schema="{}"))
    assert refusal.value.failure == Failure.UNSUPPORTED


def plain_greedy(engine: TransformersGenerator, text: str, count: int) -> list[int]:
    """What ``generate()`` alone makes of a message."""
    loaded = engine.loaded
    encoded = loaded.tokenizer.apply_chat_template(
        [{"role": "user", "content": text}], add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )
    with torch.inference_mode():
        ids = loaded.model.generate(**encoded, max_new_tokens=count, eos_token_id=sorted(loaded.stop_ids))
    tokens: list[int] = ids[0, encoded["input_ids"].shape[1] :].tolist()
    return tokens


@pytest.mark.parametrize("prefill_tokens", [0, 8])
def test_greedy_decoding_is_that_of_plain_generate_token_for_token(load: LoadTiny, prefill_tokens: int) -> None:
    engine = load(max_batched_tokens=prefill_tokens)
    texts = ["hola", "una pregunta más larga que la otra, con acentos y ñ"]
    # Half a character at the end is none.
    expected = [engine._decode(plain_greedy(engine, text, 24)).rstrip("\ufffd") for text in texts]
    alone = [generate(engine, chat("alone", text, max_new_tokens=24)).text for text in texts]
    outcomes = run(engine, *(chat(f"{at}", text, max_new_tokens=24) for at, text in enumerate(texts)))
    assert alone == expected
    assert [outcomes[f"{at}"].finished.text for at in range(len(texts))] == expected


def test_a_seed_gives_the_same_text_alone_and_among_others(load: LoadTiny) -> None:
    engine = load()

    def seeded(name: str) -> GenerationRequest:
        return chat(name, "hola", max_new_tokens=24, temperature=1.5, top_p=0.9, seed=11)

    alone = generate(engine, seeded("alone")).text
    others = [chat(f"{at}", "otra cosa " * at, max_new_tokens=10 + at, temperature=1.0) for at in range(5)]
    assert run(engine, *others[:3], seeded("one"), *others[3:], seeded("two"))["one"].finished.text == alone
    assert generate(engine, seeded("again")).text == alone


def test_requests_beyond_the_largest_batch_are_served_after_it(load: LoadTiny) -> None:
    engine = load(max_batch=2)
    passes = watch_passes(engine)
    outcomes = run(engine, *(chat(f"{at}", "hola", max_new_tokens=3 + at) for at in range(7)))
    assert [outcomes[f"{at}"].finished.completion_tokens for at in range(7)] == [3, 4, 5, 6, 7, 8, 9]
    prompt = len("<user>hola")
    assert all(ids.numel() <= 2 * prompt for ids in passes)


def test_a_queued_request_that_is_cancelled_is_never_read(load: LoadTiny) -> None:
    engine = load(max_batch=1)
    passes = watch_passes(engine, lambda _ids: time.sleep(0.01))
    outcome = Outcome()
    engine.submit(chat("running", "hola", max_new_tokens=60))
    step_until(engine, lambda: outcome.first_tokens == 1, {"running": outcome})
    engine.submit(chat("queued", "zzzz", max_new_tokens=60))
    engine.cancel("queued")
    assert engine.running == 1
    step_until(engine, lambda: outcome.end is not None, {"running": outcome})
    generate(engine, chat("next", "hola", max_new_tokens=1))
    prompts = [engine.loaded.tokenizer.decode(ids.flatten()) for ids in passes]
    assert not any("zzzz" in prompt for prompt in prompts)


def test_a_prompt_is_read_no_further_once_it_is_cancelled(load: LoadTiny) -> None:
    engine = load(max_batched_tokens=8, max_batch=4)
    prompt = "x" * 80
    read: list[int] = []

    def cancel_after_the_second(ids: torch.Tensor) -> None:
        read.append(ids.numel())
        time.sleep(0.02)

    watch_passes(engine, cancel_after_the_second)
    engine.submit(chat("cancelled", prompt, max_new_tokens=5))
    while len(read) < 2:
        assert engine.step() == []
    engine.cancel("cancelled")
    seen = len(read)
    generate(engine, chat("next", "y", max_new_tokens=1))
    # At most the pass under way, and then those of the next prompt.
    assert len(read) <= seen + 1 + len("<user>y")


def test_cancelling_ends_the_work_within_a_token(load: LoadTiny) -> None:
    engine = load()
    passes = watch_passes(engine, lambda _ids: time.sleep(0.02))
    outcome = Outcome()
    engine.submit(chat("one", "hola", max_new_tokens=80))
    step_until(engine, lambda: outcome.first_tokens == 1, {"one": outcome})
    engine.cancel("one")
    seen = len(passes)
    # The pass under way and that of the next request: nothing more is computed for the cancelled one.
    generate(engine, chat("two", "hola", max_new_tokens=1))
    assert len(passes) <= seen + 3


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), torch.AcceleratorError("assert")])
def test_a_lost_accelerator_breaks_the_engine_for_good(load: LoadTiny, error: Exception) -> None:
    engine = load()

    def fail(*_args: Any) -> None:
        raise error

    engine.loaded.model.register_forward_hook(fail)
    engine.submit(chat("one", "hola"))
    with pytest.raises(EngineBroken):
        step_until(engine, lambda: False, {"one": Outcome()})
    with pytest.raises(EngineBroken):
        engine.step()


def test_closing_ends_the_thread(load: LoadTiny) -> None:
    before = set(threading.enumerate())
    engine = load()
    assert set(threading.enumerate()) > before
    engine.submit(chat("one", "hola", max_new_tokens=80))
    engine.close()
    assert set(threading.enumerate()) <= before
    assert engine.running == 0
