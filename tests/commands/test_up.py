"""`dev.py up` with stand-in services: real processes, real ports, real signals."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import socket
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands.small_wheels import make_wheel
from conftest import Checkout, Running, free_port, is_alive, wait_until, wait_until_dead
from devtools.console import Console
from devtools.layout import Workspace
from devtools.up.narration import Narrator

STAND_IN = Path(__file__).with_name("stand_in_service.py")
pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no signals to send to another console's process")


class Bench:
    """A checkout with stand-ins for both services, and ports that nobody else uses."""

    def __init__(self, checkout: Checkout) -> None:
        self.checkout = checkout
        self.llm_port, self.backend_port = free_port(), free_port()
        for app in ("llm_service", "backend"):
            shutil.copy(STAND_IN, checkout.root / app / "main.py")

    def up(self, *arguments: str, llm: str = "", backend: str = "", **variables: str) -> Running:
        ports = ("--llm-port", str(self.llm_port), "--backend-port", str(self.backend_port))
        return self.checkout.start("up", *ports, *arguments, STAND_IN_LLM=llm, STAND_IN_BACKEND=backend, **variables)

    def pids(self, app: str, name: str = "pids.txt") -> list[int]:
        path = self.checkout.root / app / name
        return [int(pid) for pid in path.read_text().split()] if path.exists() else []

    def every_pid(self) -> list[int]:
        names = ("pids.txt", "children.txt")
        return [pid for app in ("llm_service", "backend") for name in names for pid in self.pids(app, name)]

    def seen_by(self, port: int) -> dict[str, str]:
        """The variables a stand-in was started with."""
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
            variables: dict[str, str] = json.loads(answer.read())
            return variables


@pytest.fixture
def bench(checkout: Checkout) -> Iterator[Bench]:
    made = Bench(checkout)
    yield made
    checkout.end_everything()
    assert not [pid for pid in made.every_pid() if is_alive(pid)]


def test_starts_both_waits_until_both_are_ready_and_ctrl_c_ends_both(bench: Bench) -> None:
    running = bench.up("--verbose", llm="ready_after=1 child", backend="child")
    running.wait_for("Ctrl-C ends both")
    output = running.output
    assert "llm_service is ready" in output
    assert "backend is ready" in output
    assert f"Chat page    http://127.0.0.1:{bench.backend_port}/" in output
    assert f"http://127.0.0.1:{bench.llm_port}/docs" in output
    assert "    llm | stand-in start 1 ñandú" in output
    assert "backend | stand-in start 1 ñandú" in output
    seen = bench.seen_by(bench.backend_port)
    assert seen["LLM_SERVICE_URL"] == f"http://127.0.0.1:{bench.llm_port}"
    assert seen["BACKEND_PORT"] == str(bench.backend_port)
    assert bench.seen_by(bench.llm_port)["LLM_SERVICE_PORT"] == str(bench.llm_port)
    pids = bench.every_pid()
    assert len(pids) == 4
    running.interrupt()
    assert running.end() == 0
    wait_until_dead(*pids)
    assert running.output.count("stand-in ends gracefully") == 2


def log_lines(*entries: tuple[str, str, str]) -> str:
    made = (
        {"timestamp": "2026-11-30T07:06:18Z", "level": level, "logger": logger, "process": "http", "event": event}
        for level, logger, event in entries
    )
    return "\n".join(json.dumps(each) for each in made)


def test_only_what_matters_is_shown_and_all_is_in_the_logs(bench: Bench) -> None:
    says = log_lines(
        ("info", "worker", "loading maker/model with openvino"),
        ("info", "models.hub", "downloading maker/model (1200 MB) at 0123456789ab"),
        ("info", "models.download", "model.bin: 600 of 1200 MB"),
        ("warning", "py.warnings", "FutureWarning: soon gone"),
        ("warning", "adapters.llm_service.endpoints", "llm service fault"),
        *[("warning", "workers.parent", "generator worker exited with status 13")] * 3,
        ("error", "workers.parent", "generator: no such model"),
        ("info", "workers.parent", "generator ready: maker/model on openvino after 3.0 s"),
    )
    bench.checkout.write("llm_service/says.txt", says)
    running = bench.up(llm="says")
    running.wait_for("Ctrl-C ends both")
    output = running.output
    logs, log = bench.checkout.root / ".data" / "logs", Path(".data", "logs", "llm.log")
    wait_until(lambda: "3.0 s" in (logs / "llm.log").read_text(encoding="utf-8"), "the log has all")
    shown = [line.partition(": ")[2] for line in output.splitlines() if line.startswith("llm_service: ")]
    assert shown == [
        f"starting on http://127.0.0.1:{bench.llm_port}",
        "fetching maker/model (1200 MB)",
        f"warning: generator worker exited with status 13 (log: {log})",
        f"error: generator: no such model (log: {log})",
        "language model ready: maker/model on openvino after 3.0 s",
    ]
    assert "stand-in start" not in output
    assert "\r" not in output
    assert "\033" not in output
    assert f"Logs         {logs}" in output
    assert "FutureWarning" in (logs / "llm.log").read_text(encoding="utf-8")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_has_one_line_that_is_drawn_again_and_never_too_long(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    console = Console(terminal)
    narrator = Narrator(Workspace(bench.checkout.root).llm_service, console, Path("llm.log"))
    narrator.read(log_lines(("info", "models.download", "model.bin: 600 of 1200 MB")))
    assert narrator.doing == "fetching model.bin [##########----------] 600 of 1200 MB"
    narrator.read("2026-11-30T07:06:18Z INFO     generator worker: loading maker/model with openvino x=1")
    assert narrator.doing == "loading maker/model with openvino"
    narrator.read("Traceback (most recent call last):")
    console.status("llm", "llm_service (3 s): " + narrator.doing)
    console.line("backend is ready")
    console.status("backend", "backend (3 s): starting")
    console.status("backend")
    console.status("llm")
    *_, last = terminal.getvalue().split("backend is ready\n")
    wide = "llm_service (3 s): loading maker/mod..."
    assert last.split("\r")[::2] == [wide, "llm_service (3 ...   backend (3 s): ...", wide, ""]


def test_ctrl_c_while_waiting_ends_both(bench: Bench) -> None:
    running = bench.up(llm="ready_after=600")
    running.wait_for("backend is ready")
    running.interrupt()
    running.end()
    assert "Ctrl-C ends both" not in running.output
    wait_until_dead(*bench.every_pid())


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("setpriv"), reason="Linux only, with setpriv")
def test_a_killed_up_takes_its_services_along(bench: Bench) -> None:
    running = bench.up()
    running.wait_for("Ctrl-C ends both")
    pids = bench.every_pid()
    running.process.kill()
    running.end()
    wait_until_dead(*pids)


@pytest.mark.parametrize(("grace", "presses"), [("1", 1), ("600", 2)])
def test_a_stubborn_service_is_killed_after_its_grace_or_by_a_second_ctrl_c(
    bench: Bench, grace: str, presses: int
) -> None:
    running = bench.up("--grace", grace, llm="stubborn")
    running.wait_for("Ctrl-C ends both")
    running.interrupt()
    if presses == 2:
        running.wait_for("Ctrl-C again: at once")
        running.interrupt()
    running.end()
    assert "llm_service had not ended yet and was killed" in running.output
    wait_until_dead(*bench.every_pid())


def test_ports_and_a_remote_llm_service_come_from_the_configuration_and_sigterm_ends_both(bench: Bench) -> None:
    lines = f"LLM_SERVICE_PORT={bench.llm_port}\nBACKEND_PORT = '{bench.backend_port}'  # mine\n"
    bench.checkout.write(".env", lines)
    bench.checkout.write("backend/.env", "LLM_SERVICE_URL=http://user:secret@llm.example:9000\n")
    running = bench.checkout.start("up")
    running.wait_for("Ctrl-C ends both")
    assert bench.seen_by(bench.llm_port)["LLM_SERVICE_PORT"] == str(bench.llm_port)
    assert "LLM_SERVICE_URL" not in bench.seen_by(bench.backend_port)
    assert "The backend uses LLM_SERVICE_URL=llm.example:9000" in running.output
    assert "secret" not in running.output
    running.process.send_signal(signal.SIGTERM)
    assert running.end() == 0
    wait_until_dead(*bench.every_pid())


def test_a_port_in_the_configuration_that_is_none_is_named(bench: Bench) -> None:
    bench.checkout.write(".env", "LLM_SERVICE_PORT=eighty\n")
    done = bench.checkout.dev("up")
    assert done.returncode == 1
    assert "LLM_SERVICE_PORT=eighty is not a port" in done.stdout


@pytest.mark.parametrize(
    ("option", "app", "other"), [("--llm-only", "llm_service", "backend"), ("--backend-only", "backend", "llm_service")]
)
def test_only_one_service_can_be_started(bench: Bench, option: str, app: str, other: str) -> None:
    running = bench.up(option)
    running.wait_for("Ctrl-C ends it")
    assert len(bench.pids(app)) == 1
    assert not bench.pids(other)


def test_a_taken_port_is_refused_before_anything_starts_naming_its_holder(bench: Bench) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", bench.llm_port))
        holder.listen()
        running = bench.up()
        assert running.end() == 1
    assert f"Port {bench.llm_port} is taken" in running.output
    if sys.platform == "linux":
        assert f"(process {os.getpid()})" in running.output
    assert f"--llm-port {bench.llm_port + 10}" in running.output
    assert not bench.every_pid()


def test_a_host_that_is_not_this_machine_is_named_and_no_port_is_said_to_be_taken(bench: Bench) -> None:
    done = bench.checkout.dev(
        "up", "--backend-only", "--backend-port", str(bench.backend_port), BACKEND_HOST="192.0.2.1"
    )
    assert done.returncode == 1
    assert f"cannot listen on 192.0.2.1, port {bench.backend_port}: Cannot assign requested address" in done.stdout
    assert "BACKEND_HOST" in done.stdout
    assert "is taken" not in done.stdout


def test_the_same_port_for_both_is_refused(bench: Bench) -> None:
    port = str(bench.llm_port)
    done = bench.checkout.dev("up", "--llm-port", port, "--backend-port", port)
    assert done.returncode == 1
    assert f"Both services would listen on port {port}" in done.stdout


def test_a_service_that_dies_before_it_is_ready_ends_the_wait_with_its_last_lines(bench: Bench) -> None:
    running = bench.up(llm="quiet_death", backend="ready_after=600")
    assert running.end() == 1
    assert "llm_service ended (exit status 1)" in running.output
    assert "    Configuration error: LLM_MODEL: it says no" in running.output
    assert str(bench.checkout.root / ".data" / "logs" / "llm.log") in running.output
    assert "dev.py doctor" in running.output
    wait_until_dead(*bench.every_pid())


def test_a_service_that_never_gets_ready_is_given_up(bench: Bench) -> None:
    running = bench.up("--ready-timeout", "1", llm="ready_after=600")
    assert running.end() == 1
    assert "llm_service not ready after 1 s" in running.output
    wait_until_dead(*bench.every_pid())


def test_a_dead_llm_service_is_started_again_while_the_backend_stays(bench: Bench) -> None:
    running = bench.up(llm="die_after=2 die_once child")
    running.wait_for("llm_service is ready again")
    output = running.output
    assert "llm_service ended (exit status 7)" in output
    assert "the stand-in dies now" in output
    assert "meanwhile the backend answers without it" in output
    assert len(bench.pids("llm_service")) == 2
    assert len(bench.pids("backend")) == 1
    wait_until_dead(bench.pids("llm_service", "children.txt")[0])
    running.interrupt()
    assert running.end() == 0


def test_a_port_taken_while_the_llm_service_was_down_is_left_to_its_new_holder(bench: Bench) -> None:
    running = bench.up(llm="die_after=2")
    running.wait_for("is started again in")
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", bench.llm_port))
        holder.listen()
        running.wait_for(f"Port {bench.llm_port} is taken")
    assert len(bench.pids("llm_service")) == 1
    assert is_alive(bench.pids("backend")[0])
    running.interrupt()
    assert running.end() == 1


def test_a_dead_backend_ends_everything(bench: Bench) -> None:
    running = bench.up(backend="die_after=1.5")
    assert running.end() == 1
    assert "backend ended (exit status 7)" in running.output
    wait_until_dead(*bench.every_pid())


def test_up_installs_what_is_missing_first(with_backend: Checkout) -> None:
    make_wheel(with_backend.root / "wheels", "thing")
    with_backend.environment["PIP_FIND_LINKS"] = (with_backend.root / "wheels").as_uri()
    with_backend.write("backend/requirements.txt", "thing\n")
    running = Bench(with_backend).up("--backend-only")
    running.wait_for("Ctrl-C ends it")
    assert "backend: packages: done in" in running.output


def test_works_in_the_background_where_ctrl_c_is_ignored_by_inheritance(bench: Bench) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        running = bench.up()
    finally:
        signal.signal(signal.SIGINT, before)
    running.wait_for("Ctrl-C ends both")
    running.interrupt()
    assert running.end() == 0
