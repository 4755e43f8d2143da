"""Length-prefixed frames over a pair of pipes: how commands and events cross processes.

The two ends are always a parent and the child it started over anonymous pipes, which nobody else
can reach; that is why pickle is acceptable here. Plain pipes rather than ``multiprocessing`` keep
the child from importing the parent's main module, work the same on Windows, and end with the
parent: when it dies, however it dies, the child reads end-of-file and leaves.
"""

import pickle
import struct
import threading
from collections.abc import Iterator
from typing import Any, BinaryIO

_HEADER = struct.Struct("<I")
MAX_FRAME_BYTES = 256 * 1024 * 1024


class FrameWriter:
    """Writes objects to a pipe; safe to share between threads."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()

    def send(self, message: object) -> None:
        """Write one object; raises ``OSError`` or ``ValueError`` when the other end is gone."""
        payload = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
        with self._lock:
            self._pipe.write(_HEADER.pack(len(payload)))
            self._pipe.write(payload)
            self._pipe.flush()


def read_frames(pipe: BinaryIO) -> Iterator[Any]:
    """Yield objects until the pipe ends; a frame cut short counts as the end."""
    while True:
        header = _read_exactly(pipe, _HEADER.size)
        if header is None:
            return
        (size,) = _HEADER.unpack(header)
        if size > MAX_FRAME_BYTES:
            raise ValueError(f"frame of {size} bytes is larger than the limit of {MAX_FRAME_BYTES}")
        payload = _read_exactly(pipe, size)
        if payload is None:
            return
        yield pickle.loads(payload)  # noqa: S301 - our own child or parent, see above


def _read_exactly(pipe: BinaryIO, size: int) -> bytes | None:
    chunks = bytearray()
    while len(chunks) < size:
        try:
            chunk = pipe.read(size - len(chunks))
        except (OSError, ValueError):
            return None
        if not chunk:
            return None
        chunks += chunk
    return bytes(chunks)
