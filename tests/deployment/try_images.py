"""Builds both images from their Dockerfiles, runs them as compose.yaml does, and asks them.

    python tests/deployment/try_images.py              # root on Debian: Podman, debootstrap
    python tests/deployment/try_images.py --engine docker --base python:3.11-slim-bookworm    # with Docker

`python dev.py test --all` runs it (test_images.py); it takes ten minutes and 8 GB of disk. Without ``--base`` the
base image is made of Debian's own packages, so that no image registry is needed. What pip is configured to on this
machine is shown to the builds (Podman only) and is not kept in the images. It ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import shlex
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MAKERS = ("cc", "gcc", "c++", "g++", "clang", "ld", "make", "rustc", "go")
UNWANTED = ("tests", ".env", "venv", "venv_llm", "requirements-dev.txt")
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
# Runs in the image: what is there that should not be.
LOOK = f"""
import json, os, pathlib, shutil
app = pathlib.Path.cwd()
print(json.dumps({{
    "uid": os.getuid(),
    "compilers": [name for name in {MAKERS} if shutil.which(name)],
    "may_write_to_the_app": os.access(app, os.W_OK),
    "left_in": sorted(str(p.relative_to(app)) for p in app.rglob("*") if p.name in {UNWANTED}),
}}))
"""


class Failed(Exception):
    """The try found what should not be."""


class Engine:
    """Docker or Podman by their command line, which is the same one."""

    def __init__(self, command: str) -> None:
        self._command = shlex.split(command)
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
            "run", "--detach", f"--name={self.name}", f"--network={network}", published, *HARDENED,
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


def make_base(engine: Engine, name: str) -> None:
    """Debian's Python in a root of its own, standing in for the official image."""
    packages = "python3,python3-venv,python-is-python3,ca-certificates"
    with tempfile.TemporaryDirectory(prefix="try-base-") as folder:
        subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", folder],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        left_out = ("--exclude=./var/cache/apt", "--exclude=./var/lib/apt/lists")
        tar = subprocess.Popen(["tar", "-C", folder, *left_out, "-c", "."], stdout=subprocess.PIPE)
        engine.do("import", '--change=CMD ["python"]', "-", name, stdin=tar.stdout)
        if tar.wait():
            raise Failed("the base could not be packed")


def pip_of_this_machine(folder: Path) -> list[str]:
    """The options that show a build pip's configuration and the files it names."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    values = {
        line.partition("=")[0].rpartition(".")[2]: str(ast.literal_eval(line.partition("=")[2]))
        for line in listed.splitlines()
    }
    lines = [f"{name} = {' '.join(value.split())}" for name, value in values.items() if "cache" not in name]
    configuration = folder / "pip.conf"
    configuration.write_text("\n".join(["[global]", *lines, ""]))
    mounts = {str(configuration): "/etc/pip.conf"}
    for word in " ".join(values.values()).split():
        # The pages of an index point to files beside it.
        path = Path(word.removeprefix("file://")).parent if word.startswith("file:///") else Path(word)
        if path.is_absolute() and path.exists():
            mounts[str(path)] = str(path)
    return [f"--volume={source}:{target}:ro" for source, target in mounts.items()]


def build(engine: Engine, app: str, base: str, scratch: Path) -> None:
    file = ROOT / "deploy" / "docker" / f"{app}.Dockerfile"
    options = [f"--build-arg=PYTHON_IMAGE={base}", f"--file={file}", f"--tag={IMAGES[app]}"]
    if engine.is_podman:
        # The format that keeps HEALTHCHECK; one layer a stage, since disk is dear.
        options += ["--format=docker", "--layers=false", f"--ignorefile={file}.dockerignore", "--network=host"]
        options += pip_of_this_machine(scratch)
    engine.do("build", *options, str(ROOT))


def look_inside(engine: Engine, app: str) -> dict[str, Any]:
    """What the image holds that matters; raises when it is not what it should be."""
    found: dict[str, Any] = json.loads(
        engine.do("run", "--rm", "--network=none", *HARDENED, IMAGES[app], "python", "-c", LOOK)
    )
    wanted = {"uid": 10001, "compilers": [], "may_write_to_the_app": False, "left_in": []}
    if found != wanted:
        raise Failed(f"{app}: {found} instead of {wanted}")
    size = int(engine.do("image", "inspect", "--format={{.Size}}", IMAGES[app]))
    return {"image_mb": size // 10**6}


@contextmanager
def network_and_volumes(engine: Engine, name: str) -> Iterator[None]:
    """A network and two volumes of that name; they and what runs in them go at the end."""
    volumes = [f"{name}-models", f"{name}-data"]
    engine.do("network", "create", name)
    try:
        yield
    finally:
        names = [f"{name}-{app.replace('_', '-')}" for app in IMAGES]
        engine.do("rm", "--force", "--volumes", *names, check=False)
        engine.do("volume", "rm", *volumes, check=False)
        engine.do("network", "rm", name, check=False)


def try_both(engine: Engine, name: str, seen: dict[str, Any]) -> None:
    models = f"--volume={name}-models:/models"
    settings = [f"--env={line}" for line in (f"LLM_SERVICE_API_KEY={KEY}", "LLM_MODEL=embedded")]
    llm = Container(engine, "llm_service", name, models, *settings)
    hello = {"messages": [{"role": "user", "content": "Say hello."}], "max_new_tokens": 8}
    answer = llm.ask("/api/llm/generate", hello)
    llm.ask("/api/llm/generate", hello, status=401, key="another")
    if llm.ask("/api/llm/embed", {"texts": ["hola"]})["dim"] != 384:
        raise Failed("no vector of 384 numbers")
    backend = Container(
        engine, "backend", name, models, f"--volume={name}-data:/data", *settings, f"--env=BACKEND_API_KEY={KEY}",
        f"--env=LLM_SERVICE_URL=http://{llm.name}:8001", "--env=RAG_WORDING=always",
    )  # fmt: skip
    question = {"query": "¿Cómo se dice perro en bora?"}
    answered = backend.ask("/api/rag/query", question)
    if answered["served_by"] != "llm_service" or "oohííbye" not in answered["answer"]:
        raise Failed(f"the backend answered {answered}")
    seen["llm_service"] |= {"ready_s": llm.ready_s, "memory": llm.memory(), "tokens": answer["tokens_generated"]}
    seen["llm_service"]["stop_s"] = llm.stop()
    alone = backend.ask("/api/rag/query", question)
    if not alone["degraded"] or "oohííbye" not in alone["answer"]:
        raise Failed(f"without the service the backend answered {alone}")
    seen["backend"] |= {
        "ready_s": backend.ready_s,
        "memory": backend.memory(),
        "without_the_service": alone["served_by"],
    }
    seen["backend"]["stop_s"] = backend.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="podman", help="command line, e.g. docker or 'podman --runtime runc'")
    parser.add_argument("--base", help="base image; without it one is made with debootstrap")
    chosen = parser.parse_args()
    engine = Engine(chosen.engine)
    seen: dict[str, Any] = {app: {} for app in IMAGES}
    name = re.sub(r"\W", "-", f"try-{time.time_ns() % 10**6}")
    base = chosen.base or "localhost/try-python:bookworm"
    try:
        with tempfile.TemporaryDirectory(prefix="try-") as folder:
            if not chosen.base:
                make_base(engine, base)
            for app in IMAGES:
                started = time.monotonic()
                build(engine, app, base, Path(folder))
                seen[app]["build_s"] = round(time.monotonic() - started)
        for app in IMAGES:
            seen[app] |= look_inside(engine, app)
        with network_and_volumes(engine, name):
            try_both(engine, name, seen)
    except Failed as error:
        sys.exit(f"failed: {error}")
    finally:
        engine.do("rmi", "--force", *IMAGES.values(), *([] if chosen.base else [base]), check=False)
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
