"""The backend as a user starts it: a process of its own, on a port of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import IO

import httpx

from config.settings import BACKEND_ROOT
from free_ports import free_port as free_port  # noqa: PLC0414 - used with launch

NOBODY = "http://127.0.0.1:9"


def launch(
    port: int, stderr: int | IO[str] = subprocess.PIPE, /, command: Sequence[str] = ("main.py",), **variables: str
) -> "subprocess.Popen[str]":
    environment = {
        **os.environ,
        "ENV_FILES": "none",
        "BACKEND_PORT": str(port),
        "LLM_SERVICE_URL": NOBODY,
        "LLM_MODEL": "no/such-model",
        "LLM_OFFLINE_MODEL": "none",
        "HF_HUB_OFFLINE": "1",
        **variables,
    }
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=BACKEND_ROOT,
        env=environment,
        stderr=stderr,
        stdout=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
    )


def answers(client: httpx.Client, path: str, status: int) -> bool:
    try:
        return client.get(path).status_code == status
    except httpx.ConnectError:
        return False


def wait_until(holds: Callable[[], object], process: "subprocess.Popen[str] | None" = None) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert process is None or process.poll() is None, "the process ended"
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.02)
