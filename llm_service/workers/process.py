"""A child process and the two threads that talk to it."""

import contextlib
import queue
import subprocess
from collections.abc import Callable, Sequence
from typing import BinaryIO, cast

from config.settings import APP_DIR, Settings
from workers.frames import FrameWriter, PeerGone, encode, read_frames
from workers.supervision import start_thread

EXIT_GRACE_S = 5.0
"""From the end of a worker's events to its exit; a process that stays longer is killed."""


class WorkerProcess:
    """A running worker.

    ``on_frame`` and ``on_exit`` are called in the reading thread; ``on_exit`` once, after the process has ended.
    """

    def __init__(
        self,
        program: Sequence[str],
        settings: Settings,
        on_frame: Callable[[object], None],
        on_exit: Callable[[], None],
    ) -> None:
        self.child = subprocess.Popen(
            program,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=APP_DIR,
            creationflags=getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0),
        )
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._on_frame, self._on_exit = on_frame, on_exit
        # Writing has a thread of its own: a worker busy with a long step does not read, and a full pipe would
        # otherwise block the event loop.
        start_thread(self._write, f"{program[-1]}-commands", self._writer_ended)
        start_thread(self._read, f"{program[-1]}-events", self._reader_ended)
        self.send(settings)

    def send(self, message: object) -> None:
        """Queue a message; raises ``FrameTooLarge``."""
        self._outgoing.put(encode(message))

    def _write(self) -> None:
        writer = FrameWriter(cast(BinaryIO, self.child.stdin))
        while (frame := self._outgoing.get()) is not None:
            try:
                writer.write(frame)
            except PeerGone:
                return  # the reading thread notices it too

    def _writer_ended(self, error: BaseException | None) -> None:
        if error is not None:
            self.child.kill()
        with contextlib.suppress(OSError):  # its buffer cannot be flushed
            cast(BinaryIO, self.child.stdin).close()

    def _read(self) -> None:
        for frame in read_frames(cast(BinaryIO, self.child.stdout)):
            self._on_frame(frame)

    def _reader_ended(self, error: BaseException | None) -> None:
        if error is not None:
            self.child.kill()
        try:
            self.child.wait(EXIT_GRACE_S)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        cast(BinaryIO, self.child.stdout).close()
        self._outgoing.put(None)
        self._on_exit()
