"""Length-prefixed frames over the two pipes between the backend and the process of its local models.

Both ends are a parent and the child it started over anonymous pipes that nobody else can reach; that
is why pickle is acceptable here. When either end dies, however it dies, the other reads end-of-file.
"""

import pickle
import struct
import threading
from collections.abc import Iterator
from typing import Any, BinaryIO

_HEADER = struct.Struct("<I")


class FrameWriter:
    """Writes objects to a pipe; safe to share between threads."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()

    def send(self, message: object) -> None:
        """Write one object; raise ``OSError`` or ``ValueError`` when the other end is gone."""
        payload = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
        with self._lock:
            self._pipe.write(_HEADER.pack(len(payload)) + payload)
            self._pipe.flush()


def read_frames(pipe: BinaryIO) -> Iterator[Any]:
    """Yield objects until the pipe ends; a frame cut short counts as the end."""
    while header := _read_exactly(pipe, _HEADER.size):
        (size,) = _HEADER.unpack(header)
        payload = _read_exactly(pipe, size)
        if payload is None:
            return
        yield pickle.loads(payload)  # noqa: S301 - our own child or parent, see above


def _read_exactly(pipe: BinaryIO, size: int) -> bytes | None:
    read = bytearray()
    while len(read) < size:
        try:
            chunk = pipe.read(size - len(read))
        except (OSError, ValueError):
            return None
        if not chunk:
            return None
        read += chunk
    return bytes(read)
