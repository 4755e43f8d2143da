"""Both images built from their Dockerfiles and run as deploy/compose.yaml runs them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("try_images.py")
# With Docker the base is the official image; with Podman, as root, one of Debian's own packages.
OPTIONS = {"docker": ["--engine", "docker", "--base", "python:3.11-slim-bookworm"], "podman": ["--engine", "podman"]}


def usable_engine() -> str | None:
    """The container engine that answers on this machine, if any."""
    for name in OPTIONS:
        if shutil.which(name) and not subprocess.run([name, "info"], capture_output=True, check=False).returncode:
            return name
    return None


@pytest.mark.slow(of="images")
def test_both_images_are_built_answer_and_end() -> None:
    engine = usable_engine()
    if engine is None:
        pytest.skip("no container engine that works on this machine")
    command = [sys.executable, str(SCRIPT), *OPTIONS[engine]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3000, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert set(seen) == {"llm_service", "backend"}
