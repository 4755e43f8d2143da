"""Services under measurement: real processes on free loopback ports, their start and their memory."""

import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import psutil

from devtools.processes import ask_to_end, child_environment, kill_group, start_in_own_group

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
POLL_S = 0.02
START_TIMEOUT_S = 180.0
STOP_GRACE_S = 15.0
MB = 1e6


class MeasuringFailed(Exception):
    """There is no figure, because something that is measured does not work."""


@dataclass(frozen=True)
class ProcessMemory:
    """Memory of one process in MB.

    ``pss`` shares pages among all who map them (RSS where the system does not tell, which counts
    shared pages several times); ``uss`` is what is its alone.
    """

    role: str
    pss: float
    rss: float
    uss: float


class Service:
    """One service, started on entry and ended with all its processes on exit."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        cwd: Path,
        variables: Mapping[str, str],
        port: int,
        stop_grace_s: float = STOP_GRACE_S,
    ) -> None:
        self.name = name
        self._stop_grace_s = stop_grace_s
        self.port = port
        self.started_at = 0.0
        self._command = command
        self._cwd = cwd
        self._variables = variables
        self._process: subprocess.Popen[bytes] | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop()

    def __enter__(self) -> Self:
        environment = {name: value for name, value in child_environment().items() if not _configures(name)}
        environment.update(ENV_FILES="none", HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="true", **self._variables)
        self.started_at = time.perf_counter()
        self._process = start_in_own_group(self._command, cwd=self._cwd, env=environment, stdout=self._log)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Ask the service to end, then kill what is left of it. Does nothing when it has ended."""
        process, self._process = self._process, None
        if process is None:
            return
        ask_to_end(process)
        try:
            process.wait(self._stop_grace_s)
        except subprocess.TimeoutExpired:
            print(f"{self.name} had to be killed: it did not end within {self._stop_grace_s:.0f} s", file=sys.stderr)
        kill_group(process)
        self._log.close()

    def wait_for(self, path: str, timeout_s: float = START_TIMEOUT_S, port: int | None = None) -> float:
        """Poll a path until it answers 200; returns the seconds since the start of the process."""
        deadline = time.perf_counter() + timeout_s
        while not answers(port or self.port, path):
            self._check_alive()
            if time.perf_counter() > deadline:
                raise MeasuringFailed(f"{self.name}: no 200 from {path} within {timeout_s:.0f} s\n{self.log_tail()}")
            time.sleep(POLL_S)
        return time.perf_counter() - self.started_at

    def memory(self) -> list[ProcessMemory]:
        """Memory of the service's processes, the HTTP process first."""
        return [_memory(process) for process in self.processes()]

    def processes(self) -> list[psutil.Process]:
        """The service's processes, the HTTP process first."""
        self._check_alive()
        assert self._process is not None
        root = psutil.Process(self._process.pid)
        # OpenVINO leaves a zombie behind in each worker: a process that is no more, without memory.
        return [p for p in (root, *root.children(recursive=True)) if p.status() != psutil.STATUS_ZOMBIE]

    def cpu_seconds(self) -> dict[str, float]:
        """Processor time that each of the service's processes has taken so far, by what it does."""
        return {role_of(process): cpu_seconds(process) for process in self.processes()}

    def log_tail(self) -> str:
        """The last lines the service wrote."""
        self._log.seek(0)
        return "\n".join(self._log.read().decode("utf-8", "replace").splitlines()[-20:])

    def _check_alive(self) -> None:
        if self._process is None or self._process.poll() is not None:
            raise MeasuringFailed(f"{self.name} is not running any more\n{self.log_tail()}")


def baseline_service() -> Service:
    """The plan's code as written."""
    port = free_port()
    script = ROOT / "bench" / "baselines" / "plan_service.py"
    return Service("baseline", (sys.executable, script, "--port", str(port)), ROOT, {}, port, stop_grace_s=3.0)


def llm_service(settings: Mapping[str, str] | None = None) -> Service:
    """Our service with the embedded models; ``settings`` are more of its environment variables."""
    port = free_port()
    variables = {
        "LLM_MODEL": "embedded",
        "EMBEDDING_MODEL": "embedded",
        "LLM_SERVICE_PORT": str(port),
        "LOG_LEVEL": "WARNING",
        **(settings or {}),
    }
    return Service("llm_service", (sys.executable, "main.py"), ROOT / "llm_service", variables, port)


def answers(port: int, path: str) -> bool:
    """Whether a path on this machine answers 200 now."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


class HasProcesses(Protocol):
    """Something that is measured and runs in processes of its own."""

    def processes(self) -> list[psutil.Process]:
        """All of them that run."""
        ...


class Disturbance:
    """How much of the processors others take, from the moment this is made.

    The baseline's threads wait for each other at every operation, so it slows down out of all
    proportion when something else runs (from 26 to 1 token/s was seen): a ratio measured on a busy
    machine flatters.
    """

    def __init__(self, services: Sequence[HasProcesses]) -> None:
        self._services = services
        self._started = time.perf_counter()
        self._all, self._own = _busy_seconds(), self._own_seconds()

    def share(self) -> float:
        """The share of all processor time since the start that others had, stolen time included; 0 to 1."""
        others = (_busy_seconds() - self._all) - (self._own_seconds() - self._own)
        return max(0.0, others / ((time.perf_counter() - self._started) * (psutil.cpu_count() or 1)))

    def _own_seconds(self) -> float:
        processes = [psutil.Process(), *(process for service in self._services for process in service.processes())]
        return sum(cpu_seconds(process) for process in processes)


def cpu_seconds(process: psutil.Process) -> float:
    """Processor time a process has taken so far, without its children's."""
    times = process.cpu_times()
    return float(times.user + times.system)


def machine() -> dict[str, object]:
    """What is measured on, and how busy others keep it: to be called before anything is started."""
    disturbance = Disturbance([])
    time.sleep(1.0)
    return {
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "python": sys.version.split()[0],
        "platform": sys.platform,
        "others_busy_before": round(disturbance.share(), 3),
    }


def _busy_seconds() -> float:
    # Guest time is part of user time already.
    left_out = ("idle", "iowait", "guest", "guest_nice")
    return float(sum(spent for name, spent in psutil.cpu_times()._asdict().items() if name not in left_out))


def _configures(name: str) -> bool:
    """Whether a variable would configure the service in another way than the measurement wants."""
    names = ("LLM_", "EMBED", "HF_", "HUGGINGFACE_", "LOG_LEVEL", "DEBUG", "CORS_", "MAX_BODY", "TRACING", "OTEL_")
    return name.upper().startswith(names)


def _memory(process: psutil.Process) -> ProcessMemory:
    info = process.memory_full_info()
    return ProcessMemory(
        role=role_of(process),
        pss=round(getattr(info, "pss", info.rss) / MB, 1),
        rss=round(info.rss / MB, 1),
        uss=round(info.uss / MB, 1),
    )


def role_of(process: psutil.Process) -> str:
    """What a process of the service does: generator, embedder or http."""
    command = process.cmdline()
    return command[command.index("engines.worker") + 1] if "engines.worker" in command else "http"
