"""What the tests of this folder share: small checkouts in which dev.py runs for real."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
APPS = (("llm_service", "venv_llm"), ("backend", "venv"))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"timed out waiting until {what}"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and only waits for its parent does not count."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    if Path("/proc/self").exists():
        return False
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def wait_until_dead(*pids: int) -> None:
    wait_until(lambda: not any(is_alive(pid) for pid in pids), f"the processes {pids} have ended")


@dataclass
class Running:
    """A dev.py that runs in the background; its output is collected in a file."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, text: str, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.output:
            assert self.process.poll() is None, f"it ended without saying {text!r}:\n{self.output}"
            assert time.monotonic() < deadline, f"it never said {text!r}:\n{self.output}"
            time.sleep(0.05)

    def interrupt(self) -> None:
        """Presses Ctrl-C."""
        if sys.platform == "win32":
            self.process.send_signal(signal.CTRL_BREAK_EVENT)
        else:
            self.process.send_signal(signal.SIGINT)

    def end(self, seconds: float = 30) -> int:
        return self.process.wait(seconds)


@dataclass
class Checkout:
    """A folder laid out like the repository: the real dev.py, with apps of the test's own making."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    started: list[Running] = field(default_factory=list)

    def venv(self, app: str) -> Path:
        return self.root / app / dict(APPS)[app]

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def dev(self, *arguments: str, timeout: float = 120, **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs dev.py to its end, stdout and stderr in one."""
        return subprocess.run(
            [sys.executable, "dev.py", *arguments],
            cwd=self.root,
            env=self._environment(variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            timeout=timeout,
            check=False,
        )

    def start(self, *arguments: str, **variables: str) -> Running:
        """Starts dev.py and leaves it running; the fixture ends it."""
        log = self.root / f"output-{len(self.started)}.txt"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [sys.executable, "dev.py", *arguments],
                cwd=self.root,
                env=self._environment(variables),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        running = Running(process, log)
        self.started.append(running)
        return running

    def _environment(self, variables: dict[str, str]) -> dict[str, str]:
        dropped = ("LLM_", "BACKEND_", "ENV_FILES", "DATABASE_URL", "EMBEDDING_", "HF_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        return {**kept, "PYTHONIOENCODING": "utf-8", **self.environment, **variables}

    def end_everything(self) -> None:
        for running in self.started:
            if running.process.poll() is None:
                running.interrupt()
                try:
                    running.process.wait(30)
                except subprocess.TimeoutExpired:
                    running.process.kill()
                    running.process.wait()


def make_checkout(root: Path) -> Checkout:
    """A checkout whose apps need nothing, so that set-up takes seconds and no network."""
    root.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "dev.py", root)
    shutil.copytree(ROOT / "devtools", root / "devtools", ignore=shutil.ignore_patterns("__pycache__"))
    checkout = Checkout(root, {"PIP_NO_INDEX": "1"})
    for app, _ in APPS:
        checkout.write(f"{app}/requirements.txt", "# nothing is needed\n")
        checkout.write(f"{app}/constraints.txt", "")
    return checkout


@pytest.fixture
def bare_checkout(tmp_path: Path) -> Iterator[Checkout]:
    """A checkout in which nothing has been set up. The space in its name is on purpose."""
    checkout = make_checkout(tmp_path / "a checkout")
    yield checkout
    checkout.end_everything()


@pytest.fixture(scope="session")
def _set_up_once(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    checkout = make_checkout(tmp_path_factory.mktemp("checkout") / "set up")
    done = checkout.dev("setup")
    assert done.returncode == 0, done.stdout
    return checkout


@pytest.fixture
def checkout(_set_up_once: Checkout) -> Iterator[Checkout]:
    """A checkout with both environments made, shared by the session; what a test adds is removed."""
    before = _files(_set_up_once.root)
    yield _set_up_once
    _set_up_once.end_everything()
    _set_up_once.started.clear()
    for path in _files(_set_up_once.root) - before:
        path.unlink()


def _files(root: Path) -> set[Path]:
    skipped = {"venv", "venv_llm", ".data", "__pycache__"}
    return {path for path in root.rglob("*") if path.is_file() and not skipped & set(path.relative_to(root).parts)}
