"""The HTTP process's end of a worker: starts it, watches it, and carries requests to it.

One ``WorkerClient`` stands for one role (generator or embedder) and for whatever process holds it
at the moment. A worker that dies or whose loop stands still is replaced; the requests it had end
with ``Failure.ENGINE_RESTARTED``, never with silence.
"""

import asyncio
import contextlib
import logging
import queue
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import BinaryIO, Literal, cast

from engines.base import (
    Cancel,
    Command,
    Embedded,
    EmbeddingRequest,
    EngineInfo,
    Failed,
    Failure,
    Finished,
    GenerationRequest,
    Heartbeat,
    LoadFailed,
    Ready,
    RequestEvent,
    Shutdown,
    Submit,
    WorkerSpec,
)
from engines.request_ids import http_request_of
from engines.transport import FrameWriter, read_frames

APP_DIR = Path(__file__).resolve().parent.parent
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.2, 30.0
SETTLED_AFTER_S = 60.0
WATCH_EVERY_S = 0.5
SHUTDOWN_GRACE_S = 3.0

WorkerState = Literal["loading", "ready", "restarting", "failed", "stopped"]
Role = Literal["generator", "embedder"]

logger = logging.getLogger(__name__)


class WorkerNotReady(Exception):
    """The worker has no model loaded now; ``reason``, if it is known, is fit for the client."""

    def __init__(self, state: WorkerState, reason: str | None = None) -> None:
        super().__init__(f"the worker is {state}")
        self.state = state
        self.reason = reason


class _Process:
    """One child process and the two threads that talk to it."""

    def __init__(
        self, role: Role, spec: WorkerSpec, on_frame: Callable[[object], None], on_exit: Callable[[], None]
    ) -> None:
        self.child = subprocess.Popen(
            [sys.executable, "-m", "engines.worker", role],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=APP_DIR,
            creationflags=getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0),
        )
        self._outgoing: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._on_frame, self._on_exit = on_frame, on_exit
        # Writing has a thread of its own: a worker busy with a long step does not read, and a full
        # pipe would otherwise stop the event loop.
        threading.Thread(target=self._write, name=f"{role}-commands", daemon=True).start()
        threading.Thread(target=self._read, name=f"{role}-events", daemon=True).start()
        self._outgoing.put(spec)

    def send(self, command: Command) -> None:
        self._outgoing.put(command)

    def _write(self) -> None:
        writer = FrameWriter(cast(BinaryIO, self.child.stdin))
        while (message := self._outgoing.get()) is not None:
            try:
                writer.send(message)
            except (OSError, ValueError):
                return

    def _read(self) -> None:
        for frame in read_frames(cast(BinaryIO, self.child.stdout)):
            self._on_frame(frame)
        self.child.wait()
        self._outgoing.put(None)
        self._on_exit()


class WorkerClient:
    """A supervised worker. Use from one event loop.

    ``batch_sizes``: how many steps computed so many requests (or texts) together, over all its processes;
    ``kv_cache_usage``: share of the KV cache that is held now, 0 to 1.
    """

    def __init__(
        self,
        role: Role,
        spec: WorkerSpec,
        *,
        stall_timeout_s: float = 60.0,
        load_timeout_s: float = 3600.0,
        on_fatal: Callable[[str], None] | None = None,
    ) -> None:
        self.role = role
        self.state: WorkerState = "loading"
        self.info: EngineInfo | None = None
        self.restarts = 0
        self.batch_sizes: Counter[int] = Counter()
        self.kv_cache_usage: float | None = None
        self.last_error: str | None = None
        self._spec = spec
        self._stall_timeout_s = stall_timeout_s
        self._load_timeout_s = load_timeout_s
        self._on_fatal = on_fatal
        self._process: _Process | None = None
        self._streams: dict[str, asyncio.Queue[RequestEvent]] = {}
        self._last_sign_of_life = 0.0
        self._exited = asyncio.Event()
        self._state_changed = asyncio.Event()
        self._fatal = self._stopping = False
        self._supervisor: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def pid(self) -> int | None:
        """The process that holds the model now."""
        return self._process.child.pid if self._process else None

    @property
    def in_flight(self) -> int:
        """Requests handed to the worker and not ended."""
        return len(self._streams)

    async def start(self) -> None:
        """Start the worker and return at once; ``state`` becomes ready when its model is loaded."""
        self._loop = asyncio.get_running_loop()
        self._supervisor = asyncio.create_task(self._supervise(), name=f"{self.role}-supervisor")

    async def stop(self) -> None:
        """End the worker: ask, wait a little, then kill."""
        self._stopping = True
        self._enter("stopped")
        if self._process is not None and self._process.child.poll() is None:
            self._process.send(Shutdown())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._exited.wait(), SHUTDOWN_GRACE_S)
            self._process.child.kill()
        if self._supervisor is not None:
            self._supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervisor
        self._fail_streams("the service is stopping")

    @contextlib.asynccontextmanager
    async def open(self, request: GenerationRequest | EmbeddingRequest) -> AsyncIterator[AsyncIterator[RequestEvent]]:
        """Submit a request and give its events; leaving early cancels it.

        Raises ``WorkerNotReady``. The events end with ``Finished``, ``Embedded`` or ``Failed``.
        """
        if self.state != "ready" or self._process is None:
            raise WorkerNotReady(self.state)
        events: asyncio.Queue[RequestEvent] = asyncio.Queue()
        self._streams[request.id] = events
        self._process.send(Submit(request))
        try:
            yield _until_end(events)
        finally:
            if self._streams.pop(request.id, None) is not None and self._process is not None:
                self._process.send(Cancel(request.id))

    async def wait_ready(self) -> None:
        """Wait while a worker that was there is being replaced.

        Raises ``WorkerNotReady`` when there is nothing to wait for: the first start is under way
        (which may take as long as a download), or the worker will not come back.
        """
        while self.state == "restarting":
            self._state_changed.clear()
            await self._state_changed.wait()
        if self.state != "ready":
            raise WorkerNotReady(self.state)

    def _enter(self, state: WorkerState) -> None:
        self.state = state
        self._state_changed.set()

    async def _supervise(self) -> None:
        backoff = FIRST_BACKOFF_S
        while True:
            started = time.monotonic()
            await self._run_process()
            self.kv_cache_usage = None
            concerned = [http_request_of(request_id) for request_id in self._streams]
            self._fail_streams("the engine stopped while it had this request; try again")
            if self._stopping:
                return
            if self._fatal:
                self._enter("failed")
                if self._on_fatal is not None:
                    self._on_fatal(self.last_error or "the model cannot be loaded")
                return
            self.restarts += 1
            if time.monotonic() - started > SETTLED_AFTER_S:
                backoff = FIRST_BACKOFF_S
            self._enter("restarting")
            logger.warning(
                "%s worker ended; starting another one in %.1f s", self.role, backoff, extra={"request_ids": concerned}
            )
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, LONGEST_BACKOFF_S)

    async def _run_process(self) -> None:
        assert self._loop is not None
        loop, exited = self._loop, asyncio.Event()
        self._exited = exited
        self._last_sign_of_life = time.monotonic()

        def from_thread(callback: Callable[..., None], *arguments: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(callback, *arguments)

        process = _Process(
            self.role,
            self._spec,
            on_frame=lambda frame: from_thread(self._on_frame, frame),
            on_exit=lambda: from_thread(exited.set),
        )
        self._process = process
        try:
            while not exited.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(exited.wait(), WATCH_EVERY_S)
                if self._stalled() and not exited.is_set():
                    logger.error("%s worker does not respond; killing it", self.role)
                    process.child.kill()
                    await exited.wait()
            if not self._stopping:
                logger.warning("%s worker exited with status %s", self.role, process.child.returncode)
        finally:
            if process.child.poll() is None:
                process.child.kill()

    def _stalled(self) -> bool:
        limit = self._stall_timeout_s if self.state == "ready" else self._load_timeout_s
        return time.monotonic() - self._last_sign_of_life > limit

    def _on_frame(self, frame: object) -> None:
        self._last_sign_of_life = time.monotonic()
        if isinstance(frame, list):
            for event in frame:
                self._on_event(event)
        elif isinstance(frame, Ready):
            self.info, self.last_error = frame.info, None
            if not self._stopping:
                self._enter("ready")
            logger.info(
                "%s ready: %s on %s after %.1f s", self.role, frame.info.model, frame.info.backend, frame.load_seconds
            )
        elif isinstance(frame, LoadFailed):
            self.last_error, self._fatal = frame.message, frame.fatal
            logger.error("%s: %s", self.role, frame.message)
        else:
            assert isinstance(frame, Heartbeat)
            self.kv_cache_usage = frame.kv_cache_usage
            self.batch_sizes.update(frame.batch_sizes)

    def _on_event(self, event: RequestEvent) -> None:
        if isinstance(event, Finished | Embedded | Failed):
            events = self._streams.pop(event.request_id, None)
        else:
            events = self._streams.get(event.request_id)
        if events is not None:
            events.put_nowait(event)

    def _fail_streams(self, message: str) -> None:
        for request_id in list(self._streams):
            self._on_event(Failed(request_id, Failure.ENGINE_RESTARTED, message))


async def _until_end(events: "asyncio.Queue[RequestEvent]") -> AsyncIterator[RequestEvent]:
    while True:
        event = await events.get()
        yield event
        if isinstance(event, Finished | Embedded | Failed):
            return
