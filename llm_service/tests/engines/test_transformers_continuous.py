"""The library's continuous batching, the transformers engine's way on CUDA; run on the CPU here."""

from pathlib import Path

import pytest
import torch

from engines import transformers_continuous
from engines.base import EngineBroken, GenerationRequest, ModelLoadError
from engines.transformers_continuous import PAGE_TOKENS, ContinuousRunner
from engines.transformers_generator import TransformersGenerator, is_continuous
from tests.engines.driving import Outcome, chat, generate, run, step_until
from tests.engines.tiny_engine import LoadTiny, watch_passes
from tests.engines.tiny_model import save_tiny_model

BYTES_PER_TOKEN = 2 * 2 * 2 * 8 * 4
"""Of the tiny model's KV cache: keys and values, layers, heads, head size, float32."""


@pytest.fixture(scope="module")
def longer_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("longer"), context=1024)


def with_blocks(load_tiny: LoadTiny, folder: Path, blocks: int, **options: int) -> TransformersGenerator:
    gigabytes = blocks * PAGE_TOKENS * BYTES_PER_TOKEN / 1024**3
    return load_tiny(folder, batching="continuous", kv_cache_gb=gigabytes, **options)


def free_share(engine: TransformersGenerator) -> float:
    runner = engine.runner
    assert isinstance(runner, ContinuousRunner)
    cache = runner._manager.batch_processor.cache
    cache.pool.try_to_free_sectors()
    return float(cache.compute_free_capacity())


@pytest.mark.parametrize(
    ("batching", "device", "expected"),
    [
        ("auto", "cuda", True),
        ("auto", "cpu", False),
        ("static", "cuda", False),
        ("continuous", "cpu", True),
    ],
)
def test_cuda_batches_continuously_and_a_cpu_does_not(batching: str, device: str, expected: bool) -> None:
    assert is_continuous(batching, device) is expected  # type: ignore[arg-type]


def test_the_kv_cache_is_as_large_as_asked_for(load_tiny: LoadTiny, longer_model: Path) -> None:
    engine = with_blocks(load_tiny, longer_model, 3)
    assert engine.info.context_length == 3 * PAGE_TOKENS
    assert len(engine.runner._manager.batch_processor.cache.pool.free_sectors) == 3  # type: ignore[attr-defined]


def test_one_request_may_fill_the_whole_cache(load_tiny: LoadTiny, longer_model: Path) -> None:
    engine = with_blocks(load_tiny, longer_model, 2)
    prompt = "x" * (2 * PAGE_TOKENS - 20 - len("<user>"))
    finished = generate(engine, chat("one", prompt, max_new_tokens=100))
    assert (finished.completion_tokens, finished.finish_reason) == (20, "length")


def test_requests_that_do_not_fit_together_give_way_and_say_the_same_as_alone(
    load_tiny: LoadTiny, longer_model: Path
) -> None:
    engine = with_blocks(load_tiny, longer_model, 4)

    def request(at: int, name: str) -> GenerationRequest:
        return chat(name, f"{at}" * 240, max_new_tokens=120, temperature=0.8 * (at % 2), seed=at)

    alone = [generate(engine, request(at, f"alone {at}")).text for at in range(5)]
    outcomes = run(engine, *(request(at, f"{at}") for at in range(5)))
    assert [outcomes[f"{at}"].finished.text for at in range(5)] == alone


def test_a_late_request_does_not_wait_for_an_early_one_to_end(load_tiny: LoadTiny, longer_model: Path) -> None:
    engine = with_blocks(load_tiny, longer_model, 8)
    early, late = Outcome(), Outcome()
    engine.submit(chat("early", "hola", max_new_tokens=600))
    step_until(engine, lambda: early.first_tokens == 1, {"early": early})
    engine.submit(chat("late", "hola", max_new_tokens=3))
    step_until(engine, lambda: late.end is not None, {"early": early, "late": late})
    assert early.end is None
    engine.cancel("early")


def test_a_cancelled_request_gives_its_blocks_back(load_tiny: LoadTiny, longer_model: Path) -> None:
    engine = with_blocks(load_tiny, longer_model, 4)
    outcome = Outcome()
    engine.submit(chat("one", "hola", max_new_tokens=900))
    step_until(engine, lambda: outcome.first_tokens == 1, {"one": outcome})
    assert free_share(engine) < 1
    engine.cancel("one")
    # The next request's first token comes from a pass after the one that dropped the cancelled row.
    generate(engine, chat("two", "hola", max_new_tokens=1))
    engine.cancel("two")
    assert free_share(engine) == 1


def test_a_request_that_met_a_stop_string_is_not_computed_further(load_tiny: LoadTiny, longer_model: Path) -> None:
    engine = with_blocks(load_tiny, longer_model, 4)
    text = generate(engine, chat("whole", "hola", max_new_tokens=12)).text
    passes = watch_passes(engine)
    generate(engine, chat("cut", "hola", max_new_tokens=900, stop=(text[2:5],)))
    generate(engine, chat("next", "hola", max_new_tokens=1))
    assert len(passes) < 100


def test_a_prompt_that_begins_like_an_earlier_one_is_not_read_again(load_tiny: LoadTiny, longer_model: Path) -> None:
    engine = with_blocks(load_tiny, longer_model, 8)
    sources = "s" * (2 * PAGE_TOKENS)
    generate(engine, chat("first", sources + "hola", max_new_tokens=2))
    passes = watch_passes(engine)
    finished = generate(engine, chat("second", sources + "adiós", max_new_tokens=1))
    assert finished.prompt_tokens > 2 * PAGE_TOKENS
    assert sum(ids.numel() for ids in passes) < PAGE_TOKENS


def test_a_failing_pass_breaks_the_engine(load_tiny: LoadTiny) -> None:
    engine = load_tiny(batching="continuous")

    def refuse(*_args: object) -> None:
        raise RuntimeError("an internal matter")

    engine.loaded.model.register_forward_hook(refuse)
    engine.submit(chat("one", "hola"))
    with pytest.raises(EngineBroken):
        step_until(engine, lambda: False, {"one": Outcome()})


def test_a_thread_that_ended_breaks_the_engine_at_the_next_request(load_tiny: LoadTiny) -> None:
    engine = load_tiny(batching="continuous")
    runner = engine.runner
    assert isinstance(runner, ContinuousRunner)
    runner._manager.background_thread_status.request_stop(2, 0)
    runner._manager._generation_thread.join(30)
    engine.submit(chat("one", "hola"))
    assert engine.running == 1
    with pytest.raises(EngineBroken):
        step_until(engine, lambda: False, {"one": Outcome()})


def test_a_cache_that_does_not_fit_is_refused(load_tiny: LoadTiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformers_continuous, "_blocks", lambda *_args: 10**9)
    with pytest.raises(ModelLoadError, match="LLM_KV_CACHE_GB"):
        load_tiny(batching="continuous")


def test_the_attention_needs_nothing_that_is_not_installed(load_tiny: LoadTiny) -> None:
    engine = load_tiny(batching="continuous", dtype="bfloat16")
    assert engine.loaded.model.config._attn_implementation == "sdpa"
    assert engine.loaded.model.dtype == torch.bfloat16
    assert generate(engine, chat("one", "hola", max_new_tokens=4)).completion_tokens == 4
