"""The backend as a user starts it: a process of its own, its own Postgres, the real local model."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from config.settings import BACKEND_ROOT
from free_ports import free_port
from tests.fake_llm_service import FakeLLMService

pytestmark = pytest.mark.model
DOG = {"query": "¿Cómo se dice perro en bora?"}


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """Not pytest's folder: the server's own user may not enter that one."""
    folder = Path(tempfile.mkdtemp(prefix="bora-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def backend(service: FakeLLMService, data_dir: Path) -> Iterator[httpx.Client]:
    port = free_port()
    environment = {
        **os.environ,
        "ENV_FILES": "none",
        "BACKEND_PORT": str(port),
        "DATA_DIR": str(data_dir),
        "LLM_MODEL": "embedded",
        "RAG_WORDING": "always",
        "LLM_SERVICE_URL": service.url,
        "LLM_SERVICE_TIMEOUT": "240",
    }
    process = subprocess.Popen([sys.executable, "main.py"], cwd=BACKEND_ROOT, env=environment)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=300) as client:
            wait_for(client, process)
            yield client
    finally:
        process.terminate()
        assert process.wait(60) is not None


def wait_for(client: httpx.Client, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(1200):
        assert process.poll() is None, "the backend ended"
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx.ConnectError:
            pass
        time.sleep(0.1)
    raise AssertionError("the backend did not become ready")


def ask(client: httpx.Client) -> dict[str, Any]:
    body: dict[str, Any] = client.post("/api/rag/query", json=DOG).json()
    return body


def test_the_real_local_model_answers_while_the_service_is_dead(backend: httpx.Client, service: FakeLLMService) -> None:
    assert ask(backend)["served_by"] == "llm_service"
    service.stop()
    answer = ask(backend)
    assert (answer["served_by"], answer["degraded"], answer["model"]) == ("local", True, "SmolLM2-135M-Instruct")
    assert "oohííbye" in answer["answer"]
    service.start()
    for _ in range(600):
        if ask(backend)["served_by"] == "llm_service":
            return
        time.sleep(0.1)
    raise AssertionError("the service was not used again")
