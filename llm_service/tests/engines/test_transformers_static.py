"""Static batches, the transformers engine's way on a CPU."""

import time
from dataclasses import replace
from typing import Any

import pytest

from engines.base import Failure
from engines.transformers_generator import TransformersGenerator
from engines.transformers_static import StaticRunner
from tests.engines.driving import chat, generate, run
from tests.engines.tiny_engine import LoadTiny


def test_a_cpu_is_given_static_batches(load_tiny: LoadTiny) -> None:
    assert isinstance(load_tiny(batching="auto").runner, StaticRunner)


def test_a_batch_holds_no_more_than_the_memory_for_it(load_tiny: LoadTiny, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = load_tiny()
    room_for_two = 2 * (len("<user>hola") + 8)
    monkeypatch.setattr(engine.runner, "_loaded", replace(engine.loaded, batch_tokens=room_for_two))
    sizes: list[int] = []
    engine.loaded.model.register_forward_hook(
        lambda _module, _args, inputs, _output: sizes.append(inputs["input_ids"].shape[0]), with_kwargs=True
    )
    run(engine, *(chat(f"{at}", "hola", max_new_tokens=8) for at in range(5)))
    assert max(sizes) == 2


def test_a_failing_batch_fails_its_requests_and_the_next_one_works(load_tiny: LoadTiny) -> None:
    engine = load_tiny()

    def refuse(*_args: Any) -> None:
        raise RuntimeError("no memory for this batch")

    hook = engine.loaded.model.register_forward_hook(refuse)
    outcomes = run(engine, chat("one", "hola"), chat("two", "hola"))
    hook.remove()
    for outcome in outcomes.values():
        assert outcome.failed.failure == Failure.GENERATION_FAILED
        assert "no memory for this batch" not in outcome.failed.message
    assert generate(engine, chat("three", "hola", max_new_tokens=4)).completion_tokens == 4


def test_what_a_cancelled_request_had_on_the_way_never_arrives(load_tiny: LoadTiny) -> None:
    engine = load_tiny()
    engine.submit(chat("same", "hola", max_new_tokens=5))
    row = engine._rows["same"]
    deadline = time.monotonic() + 60
    while not row.ended:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    engine.cancel("same")
    assert generate(engine, chat("same", "hola", max_new_tokens=7)).completion_tokens == 7


def batch_sizes(engine: TransformersGenerator) -> list[int]:
    """Return a list that grows by the rows of each pass."""
    sizes: list[int] = []
    engine.loaded.model.register_forward_hook(
        lambda _module, _args, inputs, _output: sizes.append(inputs["input_ids"].shape[0]), with_kwargs=True
    )
    return sizes


def test_a_request_with_a_seed_is_a_batch_of_its_own(load_tiny: LoadTiny) -> None:
    engine = load_tiny()
    sizes = batch_sizes(engine)
    seeded = [chat(f"seeded {at}", "hola", max_new_tokens=4, temperature=1.0, seed=5) for at in range(2)]
    others = [chat(f"other {at}", "hola", max_new_tokens=4) for at in range(2)]
    outcomes = run(engine, others[0], seeded[0], seeded[1], others[1])
    assert len({outcomes[request.id].finished.text for request in seeded}) == 1
    assert sizes == [1] * 16


def test_requests_with_seeds_can_be_batched(load_tiny: LoadTiny) -> None:
    engine = load_tiny(reproducible=False)
    sizes = batch_sizes(engine)
    run(engine, *(chat(f"{at}", "hola", max_new_tokens=4, temperature=1.0, seed=at) for at in range(4)))
    assert max(sizes) == 4
