"""Debian's nginx with deploy/nginx before instances of the LLM service, and those instances."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import httpx
import psutil

from conftest import ROOT, free_port, wait_until
from test_end_to_end import WORKSPACE, AppProcess

# Debian puts it where only root's PATH looks.
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
CONFIGURATION = ROOT / "deploy" / "nginx"
KEY = "the instances' key"
LISTEN = "listen 127.0.0.1:8080;"
SERVERS = (
    "    server 127.0.0.1:8001 max_fails=1 fail_timeout=1s;\n    server 127.0.0.1:8002 max_fails=1 fail_timeout=1s;\n"
)


def start_instance(port: int) -> AppProcess:
    """An instance with the engines that need no weights; it keeps no answers, so that each is generated."""
    fakes = {"LLM_BACKEND": "fake", "EMBEDDING_BACKEND": "fake", "LLM_CACHE_MB": "0", "EMBED_CACHE_MB": "0"}
    return AppProcess(WORKSPACE.llm_service, port, {"LLM_SERVICE_PORT": str(port), "LLM_SERVICE_API_KEY": KEY, **fakes})


def terminate(instance: AppProcess) -> None:
    """Ask an instance to end, as a rolling restart does, and wait until it has."""
    instance.process().send_signal(signal.SIGTERM)
    wait_until(lambda: instance._process.poll() is not None, f"port {instance.port} has ended")


def kill(instance: AppProcess) -> None:
    """kill -9, first of what speaks HTTP: its workers' end would have it say a last word."""
    workers = instance.process().children(recursive=True)
    instance._process.kill()
    instance._process.wait()
    for worker in workers:
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.kill()


class Balancer:
    """nginx as deploy/nginx configures it, but for its port and the instances' addresses."""

    def __init__(self, folder: Path, instances: Sequence[int]) -> None:
        self.port = free_port()
        self._folder = folder
        names = ("nginx.conf", "listen.conf", "upstream.conf")
        configuration, listen, upstream = ((CONFIGURATION / name).read_text() for name in names)
        assert LISTEN in listen
        assert SERVERS in upstream
        servers = "".join(f"    server 127.0.0.1:{port} max_fails=1 fail_timeout=1s;\n" for port in instances)
        self._path = folder / "nginx.conf"
        self._path.write_text(configuration)
        (folder / "listen.conf").write_text(listen.replace(LISTEN, f"listen 127.0.0.1:{self.port};"))
        (folder / "upstream.conf").write_text(upstream.replace(SERVERS, servers))
        self._process: subprocess.Popen[bytes] | None = None
        headers = {"Authorization": f"Bearer {KEY}"}
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60, headers=headers)

    def start(self) -> None:
        assert NGINX is not None
        with (self._folder / "nginx.log").open("ab") as log:
            self._process = subprocess.Popen(
                [NGINX, "-e", "stderr", "-p", f"{self._folder}{os.sep}", "-c", self._path, "-g", "daemon off;"],
                stdout=log,
                stderr=log,
            )
        wait_until(self._listens, "nginx listens")

    def log(self) -> str:
        return (self._folder / "nginx.log").read_text(encoding="utf-8", errors="replace")

    def stop(self) -> None:
        self.client.close()
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        try:
            return self.client.get("/metrics").status_code == 404
        except httpx.TransportError:
            return False
