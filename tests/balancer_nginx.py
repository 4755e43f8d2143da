"""Debian's nginx with deploy/nginx before instances of the LLM service, and those instances."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import httpx

from app_process import AppProcess, start_llm
from conftest import ROOT, wait_until
from free_ports import free_port

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
    return start_llm(port, LLM_SERVICE_API_KEY=KEY, LLM_CACHE_MB="0", EMBED_CACHE_MB="0")


class Balancer:
    """nginx as deploy/nginx configures it, but for its port and the instances' addresses."""

    def __init__(self, folder: Path, instances: Sequence[int]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
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
        self.client = httpx.Client(base_url=self.url, timeout=60, headers=headers)

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
