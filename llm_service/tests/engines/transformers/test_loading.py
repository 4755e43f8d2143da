"""Which models the transformers engine loads, how, and what it refuses."""

import json
from pathlib import Path

import pytest
import torch

from engines.base import ModelLoadError
from engines.transformers import loading as transformers_loading
from engines.transformers.generator import TransformersGenerator
from models.artifacts import ModelArtifact
from tests.engines.conftest import settings_with
from tests.engines.tiny_engine import LoadTiny
from tests.engines.tiny_model import save_tiny_model


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_number_format_is_the_configured_one(load_tiny: LoadTiny, dtype: str) -> None:
    assert load_tiny(dtype=dtype).loaded.model.dtype == getattr(torch, dtype)


def test_auto_uses_bfloat16_only_where_the_processor_has_it(
    load_tiny: LoadTiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert load_tiny(dtype="auto").loaded.model.dtype == torch.bfloat16
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": False})
    assert load_tiny(dtype="auto").loaded.model.dtype == torch.float32


def test_a_model_without_a_chat_template_is_refused(load_tiny: LoadTiny, tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="chat template"):
        load_tiny(save_tiny_model(tmp_path / "model", template=None))


def test_a_gpu_that_is_not_there_is_refused(load_tiny: LoadTiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelLoadError, match="LLM_DEVICE_MAP"):
        load_tiny(device_map="cuda")


def test_a_model_larger_than_memory_is_refused_with_both_sizes(
    load_tiny: LoadTiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transformers_loading, "_free_memory", lambda _: 10_000_000)
    with pytest.raises(ModelLoadError, match=r"0\.5 GB of memory and 0\.0 GB are free: choose a smaller model"):
        load_tiny()


def test_missing_weights_are_refused(load_tiny: LoadTiny, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = save_tiny_model(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelLoadError, match="up_proj"):
        load_tiny(folder)


def test_a_damaged_file_is_refused(load_tiny: LoadTiny, tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "model")
    (folder / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ModelLoadError, match="files") as refusal:
        load_tiny(folder)
    assert str(tmp_path) not in str(refusal.value)


def test_a_gguf_file_is_refused_by_name(tmp_path: Path) -> None:
    artifact = ModelArtifact(tmp_path / "model.gguf", "gguf", "some model", "some model")
    with pytest.raises(ModelLoadError, match="some model is gguf"):
        TransformersGenerator(artifact, settings_with(llm_device_map="cpu"))


def test_pickled_weights_are_not_read(load_tiny: LoadTiny, tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(ModelLoadError):
        load_tiny(folder)


def test_code_that_comes_with_a_model_is_not_run(load_tiny: LoadTiny, tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.OwnModel"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text("raise SystemExit('this code has been run')")
    with pytest.raises(ModelLoadError):
        load_tiny(folder)
