"""Ports for processes that tests start."""

import random
import socket
from collections import deque

# A port stays free from when it is chosen until its process listens, seconds later, and several test processes choose
# at the same time. Each holds what it chose by UDP, where no app listens; the system ends that with the process.
_KEPT = 200
_held: deque[socket.socket] = deque()


def free_port() -> int:
    """A TCP port that no other test process chooses.

    It lies below those that the system hands out by itself, so that no connection takes it meanwhile, and above those
    of Ray's workers (10,002 to 19,999).
    """
    while True:
        port = random.randrange(20_000, 30_000)
        claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            claim.bind(("127.0.0.1", port))
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            continue
        _held.append(claim)
        if len(_held) > _KEPT:
            _held.popleft().close()
        return port
