"""What the tests of this folder share: small checkouts in which dev.py's commands run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import chdir, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from devtools import cli
from devtools.doctor.findings import Finding
from devtools.layout import Workspace
from devtools.stopping import Stop
from free_ports import free_port as free_port  # noqa: PLC0414 - tests of this folder have it from here
from postgres_server import database_folder

ROOT = Path(__file__).resolve().parent.parent
APPS = (("llm_service", "venv_llm"), ("backend", "venv"))
# A port without a listener: a connection to it is refused at once.
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that an embedded database and nginx reach, which give up root's rights."""
    with database_folder() as made:
        yield made


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"timed out waiting until {what}"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and only waits for its parent does not count."""
    with suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


def wait_until_dead(*pids: int) -> None:
    wait_until(lambda: not any(is_alive(pid) for pid in pids), f"the processes {pids} have ended")


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    returncode: int
    stdout: str


@dataclass
class Running:
    """A dev.py that runs in the background; its output is collected in a file."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, text: str, seconds: float = 120) -> None:
        def is_said() -> bool:
            assert text in self.output or self.process.poll() is None, f"it ended without {text!r}:\n{self.output}"
            return text in self.output

        wait_until(is_said, f"it says {text!r}", seconds)

    def interrupt(self) -> None:
        """Presses Ctrl-C."""
        if sys.platform == "win32":
            self.process.send_signal(signal.CTRL_BREAK_EVENT)
        else:
            self.process.send_signal(signal.SIGINT)

    def end(self, seconds: float = 120) -> int:
        return self.process.wait(seconds)


@dataclass
class Checkout:
    """A folder laid out like the repository: the real dev.py, with apps of the test's own making."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    started: list[Running] = field(default_factory=list)
    capture: pytest.CaptureFixture[str] | None = None
    """What the running test uses to capture the output of `dev`."""
    set_up: Done | None = None
    """The command that made its environments."""

    def venv(self, app: str) -> Path:
        return self.root / app / dict(APPS)[app]

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def dev(self, *arguments: str, **variables: str) -> Done:
        """Runs a command of dev.py in this process, in the checkout's folder; stdout and stderr in one."""
        assert self.capture is not None
        self.capture.readouterr()
        with self._placed(variables):
            try:
                status = cli.run(arguments, Workspace(self.root), Stop())
            except SystemExit as ending:
                status = int(ending.code or 0)
        return Done(status, "".join(self.capture.readouterr()))

    def really_dev(self, *arguments: str, **variables: str) -> Done:
        """Runs `python dev.py` to its end, as a user does."""
        running = self.start(*arguments, **variables)
        return Done(running.end(), running.output)

    @contextmanager
    def _placed(self, variables: dict[str, str]) -> Iterator[None]:
        """This process in the checkout's folder and environment."""
        before = dict(os.environ)
        os.environ.clear()
        os.environ.update(self._environment(variables))
        try:
            with chdir(self.root):
                yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    def look(self, check: Callable[[Workspace], Finding | Iterable[Finding]], **variables: str) -> dict[str, list[str]]:
        """What one check of the doctor finds, by verdict, as "subject: seen -> remedy"."""
        with self._placed({"NO_PROXY": "*", "HF_ENDPOINT": NOWHERE, "HF_HOME": str(self.root), **variables}):
            found = check(Workspace(self.root))
            findings = [found] if isinstance(found, Finding) else list(found)
        assert all(bool(each.remedy) == (each.verdict != "ok") for each in findings)
        return {
            verdict: [f"{each.subject}: {each.seen} -> {each.remedy}" for each in findings if each.verdict == verdict]
            for verdict in ("ok", "warn", "fail")
        }

    def give_environment(self, template: Checkout, app: str) -> None:
        """Copies an environment from another checkout, as if it had been made here."""
        # Links take a fifth of the time of copies; the stamp, which is changed, is a file of its own.
        shutil.copytree(template.venv(app), self.venv(app), symlinks=True, copy_function=os.link)
        stamp = self.venv(app) / ".made.json"
        made = json.loads(stamp.read_text())
        stamp.unlink()
        stamp.write_text(json.dumps({**made, "made_in": str(self.venv(app))}))

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
                    running.process.wait(60)
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
def bare_checkout(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[Checkout]:
    """A checkout in which nothing has been set up. The space in its name is on purpose."""
    checkout = make_checkout(tmp_path / "a checkout")
    checkout.capture = capfd
    yield checkout
    checkout.end_everything()


@pytest.fixture(scope="session")
def _set_up_once(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    checkout = make_checkout(tmp_path_factory.mktemp("checkout") / "set up")
    checkout.set_up = checkout.really_dev("setup", "--python", sys.executable)
    assert checkout.set_up.returncode == 0, checkout.set_up.stdout
    return checkout


@pytest.fixture
def with_backend(bare_checkout: Checkout, _set_up_once: Checkout) -> Checkout:
    """A checkout of the test's own, with the backend's environment."""
    bare_checkout.give_environment(_set_up_once, "backend")
    return bare_checkout


@pytest.fixture
def checkout(_set_up_once: Checkout, capfd: pytest.CaptureFixture[str]) -> Iterator[Checkout]:
    """A checkout with both environments made, shared by the session; what a test adds is removed."""
    _set_up_once.capture = capfd
    before = _files(_set_up_once.root)
    yield _set_up_once
    _set_up_once.end_everything()
    _set_up_once.started.clear()
    # Packages lent to its environments go, too: a later test counts on small ones.
    for path in (_files(_set_up_once.root) - before) | set(_set_up_once.root.glob("*/venv*/**/lent.pth")):
        path.unlink()


def _files(root: Path) -> set[Path]:
    skipped = {"venv", "venv_llm", ".data", "__pycache__"}
    return {path for path in root.rglob("*") if path.is_file() and not skipped & set(path.relative_to(root).parts)}
