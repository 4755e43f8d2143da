"""Ports for processes that tests start."""

import random
import socket
from contextlib import suppress


def free_port() -> int:
    """A port below those that the system hands out by itself, so that no connection takes it meanwhile."""
    while True:
        port = random.randrange(12_000, 30_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
