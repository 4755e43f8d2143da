"""A child process, the two threads that talk to it, and the requests that it has."""

import asyncio
import contextlib
import queue
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import BinaryIO, cast

from config.settings import APP_DIR, Settings
from engines.errors import EngineRestarted
from engines.events import Failed, LastEvent, RequestEvent
from engines.requests import Request
from workers.frames import FrameWriter, PeerGone, encode, read_frames
from workers.messages import Cancel, Shutdown
from workers.supervision import start_thread

EXIT_GRACE_S = 5.0
"""From the end of a worker's events to its exit; a process that stays longer is killed."""


class WorkerProcess:
    """A running worker, used from the event loop that starts it.

    ``on_frame`` is called there with every message; ``exited`` is set after the process has ended.
    """

    def __init__(self, program: Sequence[str], settings: Settings, on_frame: Callable[[object], None]) -> None:
        self.exited = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._on_frame = on_frame
        self._running: dict[str, asyncio.Queue[RequestEvent]] = {}
        """Events of the running requests that are to be read, by request id."""
        self.child = subprocess.Popen(
            program,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=APP_DIR,
            creationflags=getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0),
        )
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        # Writing has a thread of its own: a worker busy with a long step does not read, and a full pipe would
        # otherwise block the event loop.
        start_thread(self._write, f"{program[-1]}-commands", self._writer_ended)
        start_thread(self._read, f"{program[-1]}-events", self._reader_ended)
        self.send(settings)

    def send(self, message: Settings | Request | Cancel | Shutdown) -> None:
        """Queue a message; raises ``FrameTooLarge``."""
        self._outgoing.put(encode(message))

    @property
    def running(self) -> list[str]:
        """Ids of the running requests."""
        return list(self._running)

    @contextlib.contextmanager
    def open(self, request: Request) -> Iterator[AsyncIterator[RequestEvent]]:
        """Submit a request and give its events; leaving before the last one cancels it. Raises ``FrameTooLarge``."""
        events: asyncio.Queue[RequestEvent] = asyncio.Queue()
        self.send(request)
        self._running[request.id] = events
        try:
            yield _until_end(events)
        finally:
            if self._running.pop(request.id, None) is not None:
                self.send(Cancel(request.id))

    def deliver(self, event: RequestEvent) -> None:
        """Hand an event to the reader of its request; events of requests that were left are dropped."""
        if isinstance(event, LastEvent):
            events = self._running.pop(event.request_id, None)
        else:
            events = self._running.get(event.request_id)
        if events is not None:
            events.put_nowait(event)

    def fail_all(self, message: str) -> None:
        """End every request with ``EngineRestarted``."""
        for request_id in self.running:
            self.deliver(Failed(request_id, EngineRestarted(message)))

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
            self._in_loop(self._on_frame, frame)

    def _in_loop(self, callback: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(callback, *arguments)

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
        self._in_loop(self.exited.set)


async def _until_end(events: "asyncio.Queue[RequestEvent]") -> AsyncIterator[RequestEvent]:
    while True:
        event = await events.get()
        if isinstance(event, Failed):
            raise event.error
        yield event
        if isinstance(event, LastEvent):
            return
