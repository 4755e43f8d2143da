"""Ray with the LLM service deployed as deploy/ray says, on this machine's loopback only, for tests."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from app_process import WORKSPACE
from conftest import ROOT, wait_until
from free_ports import free_port

KEY = "the replicas' key"
DEPLOYMENT = ROOT / "deploy" / "ray"
PYTHON = WORKSPACE.llm_service.python
READY_S = 120.0
_CALL = """
import sys, grpc
call = grpc.insecure_channel(f"127.0.0.1:{sys.argv[1]}").unary_unary("/ray.serve.ASGIService/HandleRequest")
try:
    call(b"", timeout=20)
except grpc.RpcError as error:
    print(error.code().name)
"""


def ray_is_installed() -> bool:
    """Whether the environment of the LLM service has Ray, as `dev.py setup --dev` leaves it."""
    return any(WORKSPACE.llm_service.venv.glob("[Ll]ib/**/site-packages/ray/serve/__init__.py"))


class Replica:
    """One replica, as Serve's controller and its own port show it."""

    def __init__(self, name: str, pid: int, door: httpx.Client) -> None:
        self.name, self.pid = name, pid
        self._door = door

    def running(self) -> int:
        """The requests it generates or has waiting now."""
        queue = self._door.get("/api/llm/health").json()["queue"]
        return int(queue["running"]) + int(queue["waiting"])

    def metrics(self) -> str:
        return self._door.get("/metrics").text

    def workers(self) -> list[psutil.Process]:
        """The processes in which its models are."""
        children = psutil.Process(self.pid).children(recursive=True)
        return [child for child in children if "workers.child" in child.cmdline()]


class Cluster:
    """Ray's head as deploy/ray/cluster.py starts it, and what is deployed to it."""

    def __init__(self, environment: dict[str, str]) -> None:
        # Short: paths of sockets lie in it.
        self._folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp" if os.name == "posix" else None))
        self.port, self._dashboard_port, self._doors_from = free_port(), free_port(), free_port()
        self._token = "0123456789abcdef" * 4
        dropped = ("LLM_", "EMBED", "RAY_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        self._environment = {
            **kept,
            "ENV_FILES": "none",
            "LLM_SERVICE_API_KEY": KEY,
            "RAY_AUTH_TOKEN": self._token,
            "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
            **environment,
        }
        headers = {"Authorization": f"Bearer {KEY}"}
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60, headers=headers)
        self._controller = httpx.Client(
            base_url=f"http://127.0.0.1:{self._dashboard_port}",
            timeout=30,
            headers={"Authorization": f"Bearer {self._token}"},
        )
        self._doors: dict[int, httpx.Client] = {}
        self._head: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the head; returns when it takes deployments."""
        ray_itself = ["--num-cpus=4", "--object-store-memory=100000000", f"--temp-dir={self._folder / 'r'}"]
        # Fixed ports otherwise, which somebody else's Ray on this machine may have.
        ports = [f"--dashboard-agent-listen-port={free_port()}", f"--ray-client-server-port={free_port()}"]
        command = ["head", f"--port={free_port()}", f"--dashboard-port={self._dashboard_port}", "--"]
        with (self._folder / "head.log").open("wb") as log:
            self._head = subprocess.Popen(
                [PYTHON, DEPLOYMENT / "cluster.py", *command, *ray_itself, *ports],
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(self._takes_deployments, "the head takes deployments", READY_S)

    def _takes_deployments(self) -> bool:
        assert self._head is not None
        assert self._head.poll() is None, (self._folder / "head.log").read_text(errors="replace")
        with contextlib.suppress(httpx.TransportError):
            return self._controller.get("/api/serve/applications/").status_code == 200
        return False

    def configuration(self, **autoscaling: float) -> dict[str, Any]:
        """serve.yaml for this machine: ports of its own, small and quick where it is large and patient."""
        found: dict[str, Any] = yaml.safe_load((DEPLOYMENT / "serve.yaml").read_text(encoding="utf-8"))
        found["http_options"]["port"] = self.port
        (application,) = found["applications"]
        application["args"].update(door_port=self._doors_from, patience_s=1.5)
        (deployment,) = application["deployments"]
        deployment["autoscaling_config"].update(
            metrics_interval_s=0.5, look_back_period_s=1, upscale_delay_s=0.5, **autoscaling
        )
        deployment.update(health_check_period_s=1)
        deployment["ray_actor_options"]["num_cpus"] = 1
        return found

    def deploy_by_command(self, **autoscaling: float) -> None:
        """Deploy as docs/ray.md says."""
        file = self._folder / "serve.yaml"
        file.write_text(json.dumps(self.configuration(**autoscaling)), encoding="utf-8")
        address = f"http://127.0.0.1:{self._dashboard_port}"
        command: list[str | Path] = [PYTHON, DEPLOYMENT / "cluster.py", "deploy", file, "--dashboard", address]
        done = subprocess.run(
            command, env=self._environment, capture_output=True, text=True, timeout=READY_S, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def deploy(self, **autoscaling: float) -> None:
        """Change what is deployed; returns at once."""
        response = self.ask_for(self.configuration(**autoscaling), self._controller)
        assert response.status_code == 200, response.text

    def ask_for(self, configuration: dict[str, Any], client: httpx.Client) -> httpx.Response:
        url = f"http://127.0.0.1:{self._dashboard_port}/api/serve/applications/"
        return client.put(url, json=configuration)

    def replicas(self) -> list[Replica]:
        """Those that get requests."""
        details = self._controller.get("/api/serve/applications/").json()
        deployments = details["applications"].get("llm", {}).get("deployments", {})
        found = deployments.get("LLM", {}).get("replicas", [])
        running = {each["replica_id"]: each["pid"] for each in found if each["state"] == "RUNNING"}
        doors = self._open_doors()
        return [Replica(name, pid, doors[name]) for name, pid in running.items() if name in doors]

    def wait_for_replicas(self, count: int, why: str) -> list[Replica]:
        found: list[Replica] = []

        def are_there() -> bool:
            found[:] = self.replicas()
            return len(found) == count

        wait_until(are_there, why, READY_S)
        return found

    def _open_doors(self) -> dict[str, httpx.Client]:
        """The replicas' own ports, by the replica's name."""
        found: dict[str, httpx.Client] = {}
        headers = {"Authorization": f"Bearer {KEY}"}
        for port in range(self._doors_from, self._doors_from + 8):
            if port not in self._doors:
                self._doors[port] = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10, headers=headers)
            with contextlib.suppress(httpx.TransportError):
                found[self._doors[port].get("/livez").headers.get("X-Replica", "")] = self._doors[port]
        return found

    def processes(self) -> list[psutil.Process]:
        """All of Ray's, the replicas and their workers included."""
        assert self._head is not None
        head = psutil.Process(self._head.pid)
        return [head, *head.children(recursive=True)]

    def says_a_strangers_call(self, port: int) -> str:
        """The status of a call to a replica's own gRPC port without the token; gRPC is in Ray's environment only."""
        done = subprocess.run([PYTHON, "-c", _CALL, str(port)], capture_output=True, text=True, timeout=60, check=False)
        return done.stdout.strip() or done.stderr

    def stop(self) -> None:
        """End everything that was started."""
        for client in (self.client, self._controller, *self._doors.values()):
            client.close()
        if self._head is not None:
            family = self.processes() if self._head.poll() is None else []
            self._head.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._head.wait(15)
            for process in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            self._head.wait()
        shutil.rmtree(self._folder, ignore_errors=True)
