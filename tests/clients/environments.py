"""Environments of clients: each has its own packages, pinned, and is kept between runs."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from app_process import WORKSPACE

HERE = Path(__file__).parent
INSTALL_S, RUN_S = 600, 600


def environment(client: str) -> Path:
    """Return the interpreter of a client's environment, made on first use."""
    pins = (HERE / "requirements" / f"{client}.txt").read_bytes()
    digest = hashlib.sha256(pins + sys.version.encode()).hexdigest()[:12]
    folder = WORKSPACE.data / "clients" / f"{client}-{digest}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not folder.exists():
        draft = folder.with_name(f"{folder.name}.{os.getpid()}")
        try:
            # Scripts of an environment name their interpreter: it is made where it stays, and marked at the end.
            subprocess.run([sys.executable, "-m", "venv", draft], check=True, timeout=INSTALL_S)
            draft_python = draft / python.relative_to(folder)
            wanted = ["-r", str(HERE / "requirements" / f"{client}.txt")]
            pip = [str(draft_python), "-m", "pip", "install", "-q", "--no-compile", "--disable-pip-version-check"]
            subprocess.run([*pip, "--no-deps", *wanted], check=True, timeout=INSTALL_S)
            draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return python


def run_script(client: str, script: str, url: str) -> None:
    """Run a client's script against a service; its asserts are the test."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "SYSTEMROOT", "TEMP") if name in os.environ}
    # No client reports to its maker.
    quiet = {
        "SERVICE_URL": url,
        "NO_PROXY": "*",
        "HAYSTACK_TELEMETRY_ENABLED": "False",
        "OPENAI_AGENTS_DISABLE_TRACING": "1",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "ANONYMIZED_TELEMETRY": "False",
    }
    done = subprocess.run(
        [str(environment(client)), str(HERE / "scripts" / script)],
        env=kept | quiet,
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    assert done.returncode == 0, f"{client}:\n{done.stdout[-2000:]}\n{done.stderr[-6000:]}"
