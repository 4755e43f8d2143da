"""How the tests of the doctor run it and read what it says."""

from __future__ import annotations

import json
import re
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from conftest import Checkout, free_port

# A port nobody listens on: what cannot be reached is found out at once.
NOWHERE = "http://127.0.0.1:9"


def install_torch(checkout: Checkout, built_for: str = "None", *, usable: bool = False) -> None:
    """Puts a stand-in for PyTorch into the LLM service's environment."""
    for folder in checkout.venv("llm_service").glob("**/site-packages"):
        (folder / "torch.py").write_text(
            "class version: cuda = " + built_for + "\n"
            f"class cuda: is_available = staticmethod(lambda: {usable})\n"
            "__version__ = '2.13.0'\n"
        )


def findings(checkout: Checkout, **variables: str) -> tuple[int, dict[str, list[str]]]:
    """The doctor's exit status, and its lines by verdict."""
    install_torch(checkout)
    return examine(checkout, **variables)


def examine(checkout: Checkout, **variables: str) -> tuple[int, dict[str, list[str]]]:
    """Like `findings`, with the PyTorch that is there."""
    ports = {"LLM_SERVICE_PORT": str(free_port()), "BACKEND_PORT": str(free_port())}
    here = {"HF_ENDPOINT": NOWHERE, "HF_HOME": str(checkout.root), "NO_PROXY": "*", **ports}
    done = checkout.dev("doctor", timeout=120, **{**here, **variables})
    lines: dict[str, list[str]] = {"ok": [], "warn": [], "fail": []}
    for verdict, text in re.findall(r"^(ok|warn|fail) +(.*(?:\n +->.*)?)", done.stdout, re.MULTILINE):
        lines[verdict].append(text)
    assert "Traceback" not in done.stdout, done.stdout
    return done.returncode, lines


def has(lines: list[str], *parts: str) -> bool:
    """Whether one of the lines holds all of these."""
    return any(all(part in line for part in parts) for line in lines)


class StandIn:
    """A server that answers as a test wants: like an LLM service with a key, like a hub with a wrong clock."""

    def __init__(self) -> None:
        self.key = ""
        self.clock_s = 0.0
        self.live_status = 200
        self.health_status = 200
        self.health: dict[str, object] = {"model": "embedded", "degraded": False}
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = stand_in.answer(self.path, self.headers.get("Authorization", ""))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def date_time_string(self, timestamp: float | None = None) -> str:
                return formatdate(time.time() + stand_in.clock_s, usegmt=True)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer(self, path: str, authorization: str) -> tuple[int, dict[str, object]]:
        if path == "/livez":
            return self.live_status, {}
        if self.key and authorization != f"Bearer {self.key}":
            return 401, {}
        return self.health_status, self.health

    def __enter__(self) -> StandIn:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
