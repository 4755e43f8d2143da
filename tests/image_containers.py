"""Docker or Podman, and a container of one of the two images."""

from __future__ import annotations

import json
import shlex
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

IMAGES = {"llm_service": "try-llm-service", "backend": "try-backend"}
PORTS = {"llm_service": 8001, "backend": 8000}
KEY = "the-key-of-a-try"
READY_S = 300
STOP_S = 40
# As in compose.yaml.
HARDENED = (
    "--init", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--memory=6g",
    "--pids-limit=1024",
)  # fmt: skip


class Failed(Exception):
    """The try found what should not be."""


class Engine:
    """Docker or Podman by their command line, which is the same one."""

    def __init__(self, command: str, options: Sequence[str]) -> None:
        self._command = shlex.split(command)
        self.options = list(options)
        self.is_podman = any(Path(word).name == "podman" for word in self._command)

    def do(self, *arguments: str, stdin: Any = None, check: bool = True, with_errors: bool = False) -> str:
        """Run a command and return what it printed."""
        done = subprocess.run(
            [*self._command, *arguments], stdin=stdin, capture_output=True, text=True, check=False, timeout=1800
        )
        if check and done.returncode:
            raise Failed(f"{' '.join(arguments[:2])}: {(done.stdout + done.stderr)[-3000:]}")
        return (done.stdout + (done.stderr if with_errors else "")).strip()


class Container:
    """A container of one of the images, with what compose.yaml gives it."""

    def __init__(self, engine: Engine, app: str, network: str, *options: str) -> None:
        self._engine, self._app, self.name = engine, app, f"{network}-{app.replace('_', '-')}"
        published = f"--publish=127.0.0.1::{PORTS[app]}"
        engine.do(
            "run", "--detach", f"--name={self.name}", f"--network={network}", published, *engine.options, *HARDENED,
            *options, IMAGES[app],
        )  # fmt: skip
        started = time.monotonic()
        self._wait_until_healthy()
        self.ready_s = round(time.monotonic() - started, 1)

    def _wait_until_healthy(self) -> None:
        shown = json.loads(self._engine.do("image", "inspect", IMAGES[self._app]))[0]
        # Podman has it beside Docker's place.
        kind, *command = (shown.get("Healthcheck") or shown["Config"]["Healthcheck"])["Test"]
        assert kind == "CMD"
        deadline = time.monotonic() + READY_S
        while True:
            if "healthy" in self._engine.do(
                "exec", self.name, "sh", "-c", f"{shlex.join(command)} && echo healthy", check=False
            ):
                return
            if time.monotonic() > deadline:
                raise Failed(f"{self.name} is not healthy: {self.log()[-3000:]}")
            time.sleep(1)

    def ask(self, path: str, body: dict[str, Any], *, status: int = 200, key: str = KEY) -> Any:
        """POST from outside, through the published port."""
        address = self._engine.do("port", self.name, str(PORTS[self._app])).splitlines()[0]
        request = urllib.request.Request(
            f"http://{address}{path}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {key}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as response:
                got, content = response.status, json.load(response)
        except urllib.error.HTTPError as error:
            got, content = error.code, json.load(error)
        if got != status:
            raise Failed(f"{path}: {got} {content}")
        return content

    def memory(self) -> str:
        return self._engine.do("stats", "--no-stream", "--format={{.MemUsage}}", self.name).partition(" /")[0]

    def log(self) -> str:
        return self._engine.do("logs", self.name, with_errors=True)

    def stop(self) -> float:
        """SIGTERM, as the engine sends it; returns the seconds it took."""
        started = time.monotonic()
        self._engine.do("stop", f"--time={STOP_S}", self.name)
        seconds = time.monotonic() - started
        log, state = self.log(), self._engine.do("inspect", "--format={{.State.ExitCode}}", self.name)
        # 143: it ended itself by the signal, once it was done.
        if state not in ("0", "143") or "Traceback" in log or "Application shutdown complete" not in log:
            raise Failed(f"{self.name} ended with {state}: {log[-3000:]}")
        return round(seconds, 1)
