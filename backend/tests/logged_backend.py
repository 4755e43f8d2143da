"""The backend as a process whose log is read line by line."""

import json
import re
import socket
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from free_ports import free_port
from tests.backend_process import answers, launch, wait_until

TEXT_LINE = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z (DEBUG|INFO|WARNING|ERROR|CRITICAL) +(http|local_models) [\w.]+: \S")
"""How each line of the text form begins; those of a traceback are indented."""


@dataclass
class LoggedBackend:
    client: httpx.Client
    log: Path
    port: int
    process: "subprocess.Popen[str]"
    begins: int = 0
    """Bytes of the log that earlier tests have read."""
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    """For this test's requests: the line of an earlier one may come after it has ended."""

    def text(self) -> str:
        return self.log.read_bytes()[self.begins :].decode("utf-8", "replace")

    def from_here(self) -> "LoggedBackend":
        """The same backend without what its log holds by now."""
        return LoggedBackend(self.client, self.log, self.port, self.process, self.log.stat().st_size)

    def records(self) -> list[dict[str, Any]]:
        """Return the JSON log; fails when a line of it is no JSON object. The last line may be under way."""
        return [json.loads(line) for line in self.text().split("\n")[:-1]]

    def access_line(self, request_id: str = "") -> dict[str, Any]:
        """Wait for the access line of a request, by default this test's; it comes when the request is over, once."""
        wanted = request_id or self.request_id

        def lines() -> list[dict[str, Any]]:
            return [r for r in self.records() if r["logger"] == "access" and r.get("request_id") == wanted]

        wait_until(lines, self.process)
        found = lines()
        assert len(found) == 1, found
        return found[0]

    def wait_for(self, text: str) -> None:
        wait_until(lambda: text in self.text(), self.process)

    def send_raw(self, request: bytes) -> bytes:
        """Send bytes as they are and return what comes back until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(request)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        return answer


@contextmanager
def logged_backend(log: Path, until: int = 200, /, **variables: str) -> Iterator[LoggedBackend]:
    """Start the backend with its log in a file, and wait until ``/readyz`` answers ``until``."""
    port = free_port()
    with log.open("w", encoding="utf-8") as sink:
        process = launch(port, sink, **variables)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            wait_until(lambda: answers(client, "/readyz", until), process)
            yield LoggedBackend(client, log, port, process)
    finally:
        process.terminate()
        process.wait(60)
