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
from tests.fake_llm_service import FakeLLMService, http

PREPARE = (sys.executable, "scripts/prepare_fallback.py")


def test_a_model_that_is_not_on_this_machine_is_stood_in_for_without_asking_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.socket.connect", None)
    files = resolve_language_model(LocalModelConfig(model="somebody/something", hub_cache=str(tmp_path)))
    assert (files.name, files.substituted) == ("SmolLM2-135M-Instruct", True)
    assert not resolve_language_model(LocalModelConfig(model="embedded")).substituted


def test_a_folder_of_another_engine_is_stood_in_for(tmp_path: Path) -> None:
    (tmp_path / "openvino_model.xml").touch()
    (tmp_path / "config.json").write_text("{}")
    assert resolve_language_model(LocalModelConfig(model=str(tmp_path))).substituted


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


@pytest.mark.parametrize(
    ("model", "offline", "status", "asked"),
    [("embedded", False, 0, False), ("nobody/nothing", False, 1, True), ("nobody/nothing", True, 1, False)],
)
def test_preparing_asks_the_hub_of_the_settings_for_models_that_are_not_here(
    model: str, offline: bool, status: int, asked: bool, tmp_path: Path, service: FakeLLMService
) -> None:
    service.ready = http("404 Not Found", b"")
    file = tmp_path / "hub.env"
    file.write_text(f"LLM_MODEL={model}\nHF_ENDPOINT={service.url}\nHF_HUB_OFFLINE={offline}\nHF_HOME={tmp_path}\n")
    environment = {**os.environ, "ENV_FILES": str(file)}
    ended = subprocess.run(PREPARE, cwd=BACKEND_ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == status, ended.stderr
    assert "Traceback" not in ended.stderr
    assert bool(service.requests) is asked
