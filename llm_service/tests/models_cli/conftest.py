"""A hub on this machine, a cache of its own, and the command run on it."""

import importlib
import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from huggingface_hub import close_session, constants
from service_kit.settings import load

from config.settings import Settings
from scripts import models as script
from tests.models_cli.hub_server import HubServer

APP_DIR = Path(__file__).resolve().parents[2]
KEPT = ("PATH", "HOME", "SYSTEMROOT", "TEMP", "TMP", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "TMPDIR")
LARGE = random.Random(0).randbytes(25 * 1024**2)
"""More than the pieces in which the library hands content over (10 MB), so that it can be resumed."""


@dataclass
class Machine:
    """A machine with an empty cache, whose hub is the test's."""

    home: Path
    hub: HubServer
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        self.environment = kept | {
            "ENV_FILES": "none",
            "HF_ENDPOINT": self.hub.url,
            "HF_HOME": str(self.home / "hf"),
            "MODEL_CACHE_DIR": str(self.home / "models"),
            "PYTHONIOENCODING": "utf-8",
            "LLM_DEVICE_MAP": "cpu",
        }

    @property
    def cache(self) -> Path:
        return self.home / "hf" / "hub"

    def folder(self, repo: str) -> Path:
        return self.cache / f"models--{repo.replace('/', '--')}"

    def snapshot(self, repo: str, commit: str) -> Path:
        return self.folder(repo) / "snapshots" / commit

    def pins(self) -> dict[str, Any]:
        path = self.home / "models" / "pins.json"
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["models"] if path.is_file() else {}
        return content

    def start(self, *arguments: str, **settings: str) -> "subprocess.Popen[str]":
        """Run the command as people run it."""
        return subprocess.Popen(
            [sys.executable, "scripts/models.py", *arguments],
            cwd=APP_DIR,
            env=self.environment | settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )

    def run(self, *arguments: str, expect: int = 0, **settings: str) -> str:
        """Run the command in this process, which takes a tenth of the time; return all that it prints."""
        printed = io.StringIO()
        with self._configured(settings), redirect_stdout(printed), redirect_stderr(printed):
            status = script.main(arguments)
        assert status == expect, printed.getvalue()
        return printed.getvalue()

    @contextmanager
    def _configured(self, settings: dict[str, str]) -> Iterator[None]:
        """The settings, and the library as it reads its variables when it is imported."""
        with patch.dict(os.environ, self.environment | settings, clear=True):
            chosen = load(Settings, ())
            os.environ.update(chosen.hub_environment)
            importlib.reload(constants)
            cache = patch("huggingface_hub.utils._cache_manager.HF_HUB_CACHE", constants.HF_HUB_CACHE)
            with patch.object(script, "settings", chosen), cache:
                yield
            close_session()
        importlib.reload(constants)

    def listed(self, **settings: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.run("list", "--json", expect=0, **settings))
        return content


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer().running() as server:
        yield server


@pytest.fixture
def machine(tmp_path: Path, hub: HubServer) -> Machine:
    return Machine(tmp_path, hub)


def safetensors_repository(**more: bytes) -> dict[str, bytes]:
    """Files as a repository has them; the weights are noise."""
    return {
        "config.json": b'{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}',
        "tokenizer.json": b"{}",
        "model.safetensors": LARGE,
        "README.md": b"---\nlicense: mit\n---\n",
        **more,
    }


def gguf_repository() -> dict[str, bytes]:
    """Files as a repository of conversions has them; the weights are noise."""
    return {"M-Q8_0.gguf": b"GGUF" + LARGE, "M-Q4_K_M.gguf": b"GGUF" + LARGE[::-1], "README.md": b"-"}


def openvino_repository() -> dict[str, bytes]:
    """Files as an exported repository has them; the weights are noise."""
    return {
        "config.json": b'{"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3"}',
        "openvino_model.xml": b"<net/>",
        "openvino_model.bin": LARGE,
        "openvino_tokenizer.xml": b"<net/>",
        "openvino_tokenizer.bin": b"numbers",
        "pytorch_model.bin": b"pickle",
    }
