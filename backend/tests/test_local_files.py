"""From a model's name to its files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.local.config import LocalModelConfig
from adapters.local.files import resolve_language_model
from adapters.ports.models import TechnicalError
from config.settings import BACKEND_ROOT

PREPARE = (sys.executable, "scripts/prepare_fallback.py")


def test_a_model_that_is_not_on_this_machine_is_stood_in_for_without_asking_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.socket.connect", None)
    files = resolve_language_model(LocalModelConfig(model="somebody/something", hub_cache=str(tmp_path)))
    assert (files.name, files.substituted) == ("SmolLM2-135M-Instruct", True)
    assert not resolve_language_model(LocalModelConfig(model="embedded")).substituted


def test_half_a_download_is_no_model(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--a--b" / "snapshots" / "c"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (snapshot / "model.safetensors.index.json").write_text('{"weight_map": {"a": "1.safetensors"}}')
    config = LocalModelConfig(model="a/b", hub_cache=str(tmp_path), offline_model="none")
    (tmp_path / "models--a--b" / "refs").mkdir()
    (tmp_path / "models--a--b" / "refs" / "main").write_text("c")
    with pytest.raises(TechnicalError):
        resolve_language_model(config)
    (snapshot / "1.safetensors").touch()
    assert resolve_language_model(config).folder == snapshot


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(TechnicalError, match=r"no file .*nowhere\.gguf"):
        resolve_language_model(LocalModelConfig(model="nowhere.gguf"))


@pytest.mark.parametrize(("model", "status"), [("embedded", 0), ("nobody/nothing", 1)])
def test_preparing_says_whether_the_models_are_here(model: str, status: int, tmp_path: Path) -> None:
    hub = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    environment = {**os.environ, "ENV_FILES": "none", "LLM_MODEL": model, **hub}
    ended = subprocess.run(PREPARE, cwd=BACKEND_ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == status, ended.stderr
    assert "Traceback" not in ended.stderr
