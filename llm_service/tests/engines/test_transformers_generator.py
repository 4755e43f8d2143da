"""What only the transformers engine does; the rest is in the suite that all engines share."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from engines import transformers_loading
from engines.base import ChatMessage, EngineBroken, Failure, GenerationRequest, ModelLoadError, RequestRejected
from engines.transformers_generator import TransformersGenerator
from tests.engines.driving import Outcome, chat, generate, run, step_until
from tests.engines.tiny_model import CONTEXT, save_tiny_model

Load = Callable[..., TransformersGenerator]


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def load(tiny_model: Path) -> Iterator[Load]:
    loaded: list[TransformersGenerator] = []

    def build(path: Path = tiny_model, *, device_map: str = "cpu", dtype: str = "float32", max_batch: int = 8) -> Any:
        engine = TransformersGenerator(
            model_path=path,
            requested_model="tiny",
            model_name="tiny",
            degraded=False,
            device_map=device_map,
            dtype=dtype,
            max_batch=max_batch,
        )
        loaded.append(engine)
        return engine

    yield build
    for engine in loaded:
        engine.close()


def say(engine: TransformersGenerator, *tokens: int) -> None:
    """Make the model say these tokens, one after another, whatever it is asked."""
    position = iter(tokens)

    def bend(_module: Any, _args: Any, output: Any) -> None:
        output.logits[:] = 0.0
        output.logits[..., next(position)] = 50.0

    engine._loaded.model.register_forward_hook(bend)


def test_a_folder_of_safetensors_is_served(load: Load) -> None:
    engine = load()
    assert engine.info.artifact == "safetensors"
    assert engine.info.device == "cpu"
    assert engine.info.context_length == CONTEXT
    engine.warm_up()
    assert generate(engine, chat("one", "hola", max_new_tokens=5)).completion_tokens == 5


def test_greedy_decoding_ignores_the_model_s_own_sampling_settings(load: Load) -> None:
    texts = {generate(load(), chat("one", "hola", max_new_tokens=20)).text for _ in range(2)}
    assert len(texts) == 1


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_number_format_is_the_configured_one(load: Load, dtype: str) -> None:
    assert load(dtype=dtype)._loaded.model.dtype == getattr(torch, dtype)


def test_auto_uses_bfloat16_only_where_the_processor_has_it(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert load(dtype="auto")._loaded.model.dtype == torch.bfloat16
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": False})
    assert load(dtype="auto")._loaded.model.dtype == torch.float32


@pytest.mark.parametrize("end", [256, 257])
def test_each_of_several_end_tokens_ends_the_answer(load: Load, tmp_path: Path, end: int) -> None:
    engine = load(save_tiny_model(tmp_path / "model", eos=[256, 257]))
    say(engine, 40, 41, end, 42)
    finished = generate(engine, chat("one", "hola", max_new_tokens=10))
    assert (finished.finish_reason, finished.completion_tokens) == ("stop", 3)
    assert len(finished.text) == 2


def test_the_end_token_as_the_last_one_allowed_is_a_stop(load: Load) -> None:
    engine = load()
    say(engine, 40, 256)
    assert generate(engine, chat("one", "hola", max_new_tokens=2)).finish_reason == "stop"


def test_thinking_is_told_to_the_chat_template(load: Load) -> None:
    engine = load()
    plain = chat("one", "hola", max_new_tokens=1)
    thinking = GenerationRequest("two", plain.messages, plain.sampling, enable_thinking=True)
    counts = [generate(engine, request).prompt_tokens for request in (plain, thinking)]
    assert counts[1] == counts[0] + len("<think>")


def test_messages_the_template_refuses_are_refused(load: Load) -> None:
    request = chat("one", "hola")
    messages = (ChatMessage("system", "no"), *request.messages)
    with pytest.raises(RequestRejected) as refusal:
        load().submit(GenerationRequest("one", messages, request.sampling))
    assert refusal.value.failure == Failure.UNSUPPORTED


def test_a_json_schema_is_refused(load: Load) -> None:
    with pytest.raises(RequestRejected) as refusal:
        load().submit(chat("one", "hola", json_schema="{}"))
    assert refusal.value.failure == Failure.UNSUPPORTED


def test_requests_beyond_one_batch_are_served_by_the_next(load: Load) -> None:
    engine = load(max_batch=2)
    outcomes = run(engine, *(chat(f"{at}", "hola", max_new_tokens=3 + at) for at in range(7)))
    assert [outcomes[f"{at}"].finished.completion_tokens for at in range(7)] == [3, 4, 5, 6, 7, 8, 9]


def test_a_batch_holds_no_more_than_the_memory_for_it(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = load()
    room_for_two = 2 * (len("<user>hola") + 8)
    monkeypatch.setattr(engine, "_loaded", replace(engine._loaded, batch_tokens=room_for_two))
    sizes: list[int] = []
    engine._loaded.model.register_forward_hook(
        lambda _module, _args, inputs, _output: sizes.append(inputs["input_ids"].shape[0]), with_kwargs=True
    )
    run(engine, *(chat(f"{at}", "hola", max_new_tokens=8) for at in range(5)))
    assert max(sizes) == 2


def test_a_failing_batch_fails_its_requests_and_the_next_one_works(load: Load) -> None:
    engine = load()

    def refuse(*_args: Any) -> None:
        raise RuntimeError("no memory for this batch")

    hook = engine._loaded.model.register_forward_hook(refuse)
    outcomes = run(engine, chat("one", "hola"), chat("two", "hola"))
    hook.remove()
    for outcome in outcomes.values():
        assert outcome.failed.failure == Failure.GENERATION_FAILED
        assert "no memory for this batch" not in outcome.failed.message
    assert generate(engine, chat("three", "hola", max_new_tokens=4)).completion_tokens == 4


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), torch.AcceleratorError("assert")])
def test_a_lost_accelerator_breaks_the_engine_for_good(load: Load, error: Exception) -> None:
    engine = load()

    def fail(*_args: Any) -> None:
        raise error

    engine._loaded.model.register_forward_hook(fail)
    engine.submit(chat("one", "hola"))
    with pytest.raises(EngineBroken):
        step_until(engine, lambda: False, {"one": Outcome()})
    with pytest.raises(EngineBroken):
        engine.step()


def test_cancelling_ends_the_batch_within_a_token(load: Load) -> None:
    engine = load()
    steps: list[None] = []

    def count(*_args: Any) -> None:
        steps.append(None)
        time.sleep(0.02)

    engine._loaded.model.register_forward_hook(count)
    outcome = Outcome()
    engine.submit(chat("one", "hola", max_new_tokens=80))
    step_until(engine, lambda: outcome.first_tokens == 1, {"one": outcome})
    engine.cancel("one")
    seen = len(steps)
    # The next request shares no batch with the cancelled one: when it is served, that one is over.
    generate(engine, chat("two", "hola", max_new_tokens=1))
    assert len(steps) <= seen + 3


def test_what_a_cancelled_request_had_on_the_way_never_arrives(load: Load) -> None:
    engine = load()
    engine.submit(chat("same", "hola", max_new_tokens=5))
    row = engine._rows["same"]
    deadline = time.monotonic() + 60
    while not row.ended:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    engine.cancel("same")
    assert generate(engine, chat("same", "hola", max_new_tokens=7)).completion_tokens == 7


def test_closing_ends_the_thread(load: Load) -> None:
    engine = load()
    engine.submit(chat("one", "hola", max_new_tokens=80))
    engine.close()
    assert not engine._thread.is_alive()
    assert engine.running == 0


class TestLoading:
    def test_a_model_without_a_chat_template_is_refused(self, load: Load, tmp_path: Path) -> None:
        with pytest.raises(ModelLoadError, match="chat template"):
            load(save_tiny_model(tmp_path / "model", template=None))

    def test_a_gpu_that_is_not_there_is_refused(self, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        with pytest.raises(ModelLoadError, match="LLM_DEVICE_MAP"):
            load(device_map="cuda")

    def test_a_model_larger_than_memory_is_refused_with_both_sizes(
        self, load: Load, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(transformers_loading, "_free_memory", lambda: 10_000_000)
        with pytest.raises(ModelLoadError, match=r"0\.5 GB of memory and 0\.0 GB are free: choose a smaller model"):
            load()

    def test_missing_weights_are_refused(self, load: Load, tmp_path: Path) -> None:
        from safetensors.torch import load_file, save_file

        folder = save_tiny_model(tmp_path / "model")
        weights = load_file(folder / "model.safetensors")
        del weights["model.layers.1.mlp.up_proj.weight"]
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(ModelLoadError, match="up_proj"):
            load(folder)

    def test_a_damaged_file_is_refused(self, load: Load, tmp_path: Path) -> None:
        folder = save_tiny_model(tmp_path / "model")
        (folder / "model.safetensors").write_bytes(b"not weights")
        with pytest.raises(ModelLoadError, match="files") as refusal:
            load(folder)
        assert str(tmp_path) not in str(refusal.value)

    @pytest.mark.parametrize("content", [b"GGUF no", b"not at all", b""])
    def test_a_damaged_gguf_file_is_refused(self, load: Load, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "model.gguf"
        path.write_bytes(content)
        with pytest.raises(ModelLoadError) as refusal:
            load(path)
        assert str(tmp_path) not in str(refusal.value)

    def test_pickled_weights_are_not_read(self, load: Load, tmp_path: Path) -> None:
        folder = save_tiny_model(tmp_path / "model")
        (folder / "model.safetensors").unlink()
        torch.save({}, folder / "pytorch_model.bin")
        with pytest.raises(ModelLoadError):
            load(folder)

    def test_code_that_comes_with_a_model_is_not_run(self, load: Load, tmp_path: Path) -> None:
        folder = save_tiny_model(tmp_path / "model")
        config = json.loads((folder / "config.json").read_text())
        config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.OwnModel"}}
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "own.py").write_text("raise SystemExit('this code has been run')")
        with pytest.raises(ModelLoadError):
            load(folder)
