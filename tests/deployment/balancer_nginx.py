"""Debian's nginx with deploy/nginx before instances of the LLM service, and those instances."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from app_process import AppProcess, Program, start_llm
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


class Balancer(Program):
    """nginx as deploy/nginx configures it, but for its port and the instances' addresses."""

    def __init__(self, folder: Path, instances: Sequence[int]) -> None:
        place = f"{folder}{os.sep}"
        command: list[str | Path] = [
            str(NGINX),
            "-e",
            "stderr",
            "-p",
            place,
            "-c",
            folder / "nginx.conf",
            "-g",
            "daemon off;",
        ]
        super().__init__("nginx", command, free_port())
        self.client.headers["Authorization"] = f"Bearer {KEY}"
        names = ("nginx.conf", "listen.conf", "upstream.conf")
        configuration, listen, upstream = ((CONFIGURATION / name).read_text() for name in names)
        assert LISTEN in listen
        assert SERVERS in upstream
        servers = "".join(f"    server 127.0.0.1:{port} max_fails=1 fail_timeout=1s;\n" for port in instances)
        (folder / "nginx.conf").write_text(configuration)
        (folder / "listen.conf").write_text(listen.replace(LISTEN, f"listen 127.0.0.1:{self.port};"))
        (folder / "upstream.conf").write_text(upstream.replace(SERVERS, servers))

    def start(self) -> None:
        super().start()
        wait_until(lambda: self.answers("/metrics", 404), "nginx listens")
