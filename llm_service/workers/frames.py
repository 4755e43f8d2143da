"""Length-prefixed pickle frames over a pair of anonymous pipes.

Both ends are a parent and the child it started; no other process can reach the pipes, so pickle is acceptable. Plain
pipes rather than ``multiprocessing`` keep the child from importing the parent's main module, work alike on Windows,
and end with the parent: when it dies, the child reads end-of-file.
"""

import pickle
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

_HEADER = struct.Struct("<I")
MAX_FRAME_BYTES = 256 * 1024 * 1024


class FrameTooLarge(ValueError):
    """A message that does not fit a frame."""


class PeerGone(Exception):
    """The other end of the pipe is closed."""


def encode(message: object) -> bytes:
    """Return the frame of a message; raises ``FrameTooLarge``."""
    payload = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    if len(payload) > MAX_FRAME_BYTES:
        raise FrameTooLarge(f"a message of {len(payload)} bytes exceeds the limit of {MAX_FRAME_BYTES}")
    return _HEADER.pack(len(payload)) + payload


class FrameWriter:
    """Writes frames to a pipe, from one thread."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe

    def send(self, message: object) -> None:
        """Write one message; raises ``FrameTooLarge`` and ``PeerGone``."""
        self.write(encode(message))

    def write(self, frame: bytes) -> None:
        """Write an encoded message; raises ``PeerGone``."""
        try:
            self._pipe.write(frame)
            self._pipe.flush()
        except OSError as error:
            raise PeerGone from error


def read_frames(pipe: BinaryIO) -> Iterator[Any]:
    """Yield messages of a buffered pipe until it ends; a frame cut short counts as the end. Raises ``FrameTooLarge``,
    and whatever unpickling raises.
    """
    while True:
        header = pipe.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return
        (size,) = _HEADER.unpack(header)
        if size > MAX_FRAME_BYTES:
            raise FrameTooLarge(f"a frame of {size} bytes exceeds the limit of {MAX_FRAME_BYTES}")
        payload = pipe.read(size)
        if len(payload) < size:
            return
        yield pickle.loads(payload)  # noqa: S301 - our own child or parent, see above
