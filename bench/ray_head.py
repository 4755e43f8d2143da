"""Ray on this machine as deploy/ray starts it, with the LLM service deployed in so many replicas."""

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import yaml  # type: ignore[import-untyped, unused-ignore]

from bench.processes import HOST, ROOT, MeasuringFailed, cpu_seconds, free_port
from devtools.processes import child_environment

DEPLOYMENT = ROOT / "deploy" / "ray"
START_TIMEOUT_S = 120.0
_TOKEN = "0123456789abcdef" * 4


class RayHead:
    """Ray's head, started on entry and ended with all its processes on exit."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self.port, self._dashboard_port, self._doors_from = free_port(), free_port(), free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="ray"))
        self._environment = child_environment(
            {
                **settings,
                "ENV_FILES": "none",
                "HF_HUB_OFFLINE": "1",
                "LOG_LEVEL": "WARNING",
                "RAY_AUTH_TOKEN": _TOKEN,
                "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
            }
        )
        self._head: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        ports = (f"--dashboard-agent-listen-port={free_port()}", f"--ray-client-server-port={free_port()}")
        more = ("--num-cpus=8", "--object-store-memory=100000000", f"--temp-dir={self._folder / 'r'}", *ports)
        command = ("head", f"--port={free_port()}", f"--dashboard-port={self._dashboard_port}", "--", *more)
        with (self._folder / "log").open("wb") as log:
            self._head = subprocess.Popen(
                [sys.executable, DEPLOYMENT / "cluster.py", *command],
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._wait(lambda: self._controller("GET") is not None, "Ray's head takes deployments")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def deploy(self, replicas: int) -> None:
        """Deploy ``serve.yaml`` with this number of replicas; returns when all of them serve."""
        configuration: dict[str, Any] = yaml.safe_load((DEPLOYMENT / "serve.yaml").read_text(encoding="utf-8"))
        configuration["http_options"]["port"] = self.port
        (application,) = configuration["applications"]
        application["args"]["door_port"] = self._doors_from
        (deployment,) = application["deployments"]
        deployment.pop("autoscaling_config")
        # All that is asked at once gets in: what is measured is the way, not a queue.
        deployment.update(num_replicas=replicas, max_ongoing_requests=64)
        self._controller("PUT", configuration)
        self._wait(lambda: self._running() == replicas, f"{replicas} replicas serve")

    def processes(self) -> list[psutil.Process]:
        """All of Ray's processes, the replicas' workers among them."""
        if self._head is None or self._head.poll() is not None:
            raise MeasuringFailed(f"Ray's head is not running any more\n{self._log()}")
        head = psutil.Process(self._head.pid)
        return [each for each in (head, *head.children(recursive=True)) if each.status() != psutil.STATUS_ZOMBIE]

    def cpu_seconds(self) -> dict[str, float]:
        """Processor time taken so far by the workers, the replicas, the proxy and the rest of Ray."""
        spent: dict[str, float] = {}
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                role = _role_of(process)
                spent[role] = spent.get(role, 0.0) + cpu_seconds(process)
        return spent

    def memory_mb(self) -> dict[str, float]:
        """What each kind of process has for itself alone, in MB."""
        taken: Counter[str] = Counter()
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                taken[_role_of(process)] += process.memory_full_info().uss
        return {role: round(size / 1e6) for role, size in taken.items()}

    def stop(self) -> None:
        """End all that was started."""
        head, self._head = self._head, None
        if head is None:
            return
        family = psutil.Process(head.pid).children(recursive=True) if head.poll() is None else []
        head.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            head.wait(15)
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        head.kill()
        head.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _running(self) -> int:
        details = self._controller("GET") or {}
        application = details.get("applications", {}).get("llm", {})
        if application.get("status") == "DEPLOY_FAILED":
            raise MeasuringFailed(f"Serve could not deploy: {application.get('message')}")
        replicas = application.get("deployments", {}).get("LLM", {}).get("replicas", [])
        return sum(each["state"] == "RUNNING" for each in replicas)

    def _controller(self, method: str, body: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """Ask Serve's controller; ``None`` while it is not there."""
        request = urllib.request.Request(
            f"http://{HOST}:{self._dashboard_port}/api/serve/applications/",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {_TOKEN}", "Content-Type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                answer: dict[str, Any] = json.loads(response.read() or b"{}")
                return answer
        except urllib.error.HTTPError as error:
            raise MeasuringFailed(f"Ray's dashboard said {error.code}: {error.read()[:300]!r}") from error
        except OSError:
            return None

    def _wait(self, condition: Any, what: str) -> None:
        deadline = time.perf_counter() + START_TIMEOUT_S
        while not condition():
            self.processes()
            if time.perf_counter() > deadline:
                raise MeasuringFailed(f"not within {START_TIMEOUT_S:.0f} s: {what}\n{self._log()}")
            time.sleep(0.2)

    def _log(self) -> str:
        with contextlib.suppress(OSError):
            return (self._folder / "log").read_text(encoding="utf-8", errors="replace")[-2000:]
        return ""


def _role_of(process: psutil.Process) -> str:
    command: list[str] = process.cmdline()
    if "engines.worker" in command:
        return command[command.index("engines.worker") + 1]
    title = command[0] if command else ""
    for name, role in (("ray::ServeReplica", "replica"), ("ray::ProxyActor", "proxy")):
        if title.startswith(name):
            return role
    return "rest of Ray"
