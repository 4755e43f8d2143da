"""A service's log as records, and requests that no well-behaved client sends."""

import json
import socket
from typing import Any

from tests.api.service_process import ServiceProcess, eventually

Line = dict[str, Any]


def json_lines(service: ServiceProcess) -> list[Line]:
    """Return the log; fails when a line of it is no JSON object. The last one may still be under way."""
    return [json.loads(line) for line in service.log().split("\n")[:-1]]


def access_lines(service: ServiceProcess, request_id: str, *, count: int = 1) -> list[Line]:
    """Wait for the access lines of a request, which come when it is over, and return them."""

    def lines() -> list[Line]:
        return [
            line for line in json_lines(service) if line["logger"] == "access" and line.get("request_id") == request_id
        ]

    eventually(lambda: len(lines()) >= count, f"the access line of {request_id}")
    assert len(lines()) == count
    return lines()


def access_line(service: ServiceProcess, request_id: str) -> Line:
    """Return a request's only access line."""
    return access_lines(service, request_id)[0]


def send_raw(service: ServiceProcess, request: bytes) -> bytes:
    """Send bytes as they are and return what comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return answer
