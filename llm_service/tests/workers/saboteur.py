"""A worker that misbehaves on its first request, once: run as ``python -m tests.workers.saboteur FILE HOW``.

``FILE`` is created with the misbehaviour; while it exists every request is answered.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

from engines.base import EngineInfo
from engines.events import Finished
from engines.requests import GenerationRequest
from workers.frames import FrameWriter, read_frames
from workers.messages import Ready, Shutdown

INFO = EngineInfo("fake", "fake", "fake", "none", "cpu", 2048)


def misbehave(how: str) -> Any:
    """Do what no worker should."""
    if how == "dies for good":
        os._exit(3)
    raw = os.fdopen(os.dup(1), "wb")
    if how == "huge":
        raw.write(b"\xff\xff\xff\xff")
    elif how == "garbage":
        raw.write(b"\x04\x00\x00\x00junk")
    elif how == "unknown":
        FrameWriter(raw).send(42)
    elif how == "short":
        raw.write(b"\x04\x00")
    raw.flush()
    if how in ("closes", "short"):
        raw.close()
        os.close(1)
    time.sleep(600)


def main(done: Path, how: str) -> None:
    if how == "dies for good" and done.exists():
        sys.exit(3)
    frames = read_frames(os.fdopen(os.dup(0), "rb"))
    next(frames)
    events = FrameWriter(os.fdopen(os.dup(1), "wb"))
    if how in ("closes", "short") and not done.exists():
        events = FrameWriter(os.fdopen(1, "wb", closefd=False))
    events.send(Ready(INFO, 0.0))
    for command in frames:
        if isinstance(command, Shutdown):
            return
        if isinstance(command, GenerationRequest):
            if not done.exists():
                done.touch()
                misbehave(how)
            events.send([Finished(command.id, "answered", "stop", 1, 1)])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
