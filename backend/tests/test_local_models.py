"""From a model's name to its files while the hub misbehaves."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.settings import BACKEND_ROOT

RESOLVE = """
import pathlib, sys
from adapters.local_config import LocalModelConfig
from adapters.local_models import resolve_language_model
files = resolve_language_model(LocalModelConfig(model="somebody/something", hub_cache=pathlib.Path(sys.argv[1])))
print(files.name, files.substituted)
"""


class Hub:
    """Says that it is there, and hangs up on every other request."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                request = connection.recv(65536).decode("latin-1").partition("\r\n")[0]
                self.requests.append(request)
                if request.startswith("HEAD / "):
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub()
    yield server
    server.close()


def resolve(hub_url: str, cache: Path) -> str:
    # In a process of its own: the hub's library reads its address when it is imported.
    environment = {**os.environ, "ENV_FILES": "none", "HF_ENDPOINT": hub_url, "HF_HUB_OFFLINE": "0"}
    command = [sys.executable, "-c", RESOLVE, str(cache)]
    ended = subprocess.run(command, cwd=BACKEND_ROOT, env=environment, capture_output=True, text=True, check=True)
    return ended.stdout.strip()


def test_a_hub_that_hangs_up_midway_counts_as_away(hub: Hub, tmp_path: Path) -> None:
    assert resolve(hub.url, tmp_path) == "SmolLM2-135M-Instruct True"
    assert any(request.startswith("GET ") for request in hub.requests), hub.requests


def test_a_hub_that_is_not_there_counts_as_away(tmp_path: Path) -> None:
    assert resolve("http://127.0.0.1:9", tmp_path) == "SmolLM2-135M-Instruct True"
