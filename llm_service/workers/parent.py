"""Parent side of a worker: spawns, watches, routes requests.

A ``WorkerClient`` stands for one role (generator, embedder or reranker) and the process that holds it at the moment.
A worker that dies, stalls or sends an invalid message is replaced; its requests end with ``EngineRestarted``.
"""

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING

from config.settings import Settings
from engines.base import EngineInfo, Heartbeat, ModelLoadError
from engines.errors import EngineRestarted, Unsupported
from engines.events import RequestEvent
from engines.llamacpp.endpoint import Endpoint
from engines.requests import Request, http_request_of
from workers.frames import FrameTooLarge
from workers.messages import Ready, Shutdown
from workers.process import WorkerProcess
from workers.supervision import start_task
from workers.worker import Fault, Role, Worker, WorkerState

if TYPE_CHECKING:
    from engines.llamacpp.client import LlamaCppClient

FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.2, 30.0
SETTLED_AFTER_S = 60.0
WATCH_EVERY_S = 0.5
SHUTDOWN_GRACE_S = 3.0
END_NOTICED_WITHIN_S = 1.0

logger = logging.getLogger(__name__)


class WorkerClient(Worker):
    """A worker in a process. ``program`` replaces the command line of the process, in tests."""

    def __init__(
        self,
        role: Role,
        settings: Settings,
        *,
        on_fatal: Callable[[str], None] | None = None,
        program: Sequence[str] | None = None,
    ) -> None:
        super().__init__(on_fatal)
        self.role = role
        self._settings = settings
        self._program = program or (sys.executable, "-m", "workers.child", role)
        self._process: WorkerProcess | None = None
        self._loaded: WorkerProcess | None = None
        """The last process, or the present one, if it has loaded its model."""
        self._server: LlamaCppClient | None = None
        self._last_sign_of_life = 0.0
        self._state_changed = asyncio.Event()
        self._supervisor: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process that holds the model."""
        return self._process.child.pid if self._process else None

    async def start(self) -> None:
        """Start the worker and return at once; ``state`` becomes ready when its model is loaded."""
        self._supervisor = start_task(self._supervise(), f"{self.role}-supervisor", self._supervisor_ended)

    async def stop(self) -> None:
        """End the worker: ask, wait a little, then kill."""
        self._enter("stopped")
        if self._process is not None and self._process.child.poll() is None:
            self._process.send(Shutdown())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.exited.wait(), SHUTDOWN_GRACE_S)
            self._process.child.kill()
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[AsyncIterator[RequestEvent]]:
        """Submit a request and give its events; leaving early cancels it.

        Waits while a worker that was ready is being replaced, not for a first start, which may take as long as a
        download, and not after a replacement has failed, too. Raises a ``ServiceError``, as the events do; they end
        with the last of the request.
        """
        while self.state == "restarting" and self._loaded is not None:
            self._state_changed.clear()
            await self._state_changed.wait()
        process = self._process
        if self.state != "ready" or process is None:
            raise self.refusal
        if self._server is None:
            try:
                with process.open(request) as events:
                    yield events
            except FrameTooLarge as error:
                raise Unsupported("the request is too large for the engine") from error
            return
        try:
            async with self._server.open(request) as events:
                yield events
        except EngineRestarted:
            # The next request waits for the replacement, so the end of this process has to be noticed first.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.exited.wait(), END_NOTICED_WITHIN_S)
                await asyncio.sleep(0)  # the supervisor, which waits for the same event, acts first
            raise

    def _enter(self, state: WorkerState) -> None:
        self.state = state
        self._state_changed.set()

    def fail(self, reason: str) -> None:
        """Give up; requests that wait for a replacement are refused."""
        super().fail(reason)
        self._state_changed.set()

    async def _supervise(self) -> None:
        backoff = FIRST_BACKOFF_S
        while True:
            started = time.monotonic()
            try:
                await self._run_process()
            except OSError:
                logger.exception("a %s worker could not be started", self.role)
            if self.state == "ready":
                # Before anything else is awaited: no request may go to a process that has ended.
                self._enter("restarting")
            if self._loaded is not self._process:
                self._loaded = None
            self.kv_cache_usage = None
            if self._server is not None:
                await self._server.close()
                self._server = None
            if self.state in ("stopped", "failed"):
                return
            self.restarts += 1
            if time.monotonic() - started > SETTLED_AFTER_S:
                backoff = FIRST_BACKOFF_S
            self._enter("restarting")
            logger.warning("%s worker ended; starting another one in %.1f s", self.role, backoff)
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, LONGEST_BACKOFF_S)

    def _supervisor_ended(self, error: BaseException | None) -> None:
        if error is not None and self.state != "stopped":
            self.fail("the worker's supervisor failed; see the log")

    async def _run_process(self) -> None:
        self._last_sign_of_life, stalled = time.monotonic(), False
        process = self._process = WorkerProcess(
            self._program, self._settings, lambda frame: self._receive(frame, process)
        )
        try:
            while not process.exited.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.exited.wait(), WATCH_EVERY_S)
                if self._stalled() and not process.exited.is_set():
                    stalled = True
                    logger.error("%s worker does not respond; killing it", self.role)
                    if self.state == "ready":
                        self._enter("restarting")  # before the kill: no new request goes to this process
                    process.child.kill()
                    await process.exited.wait()
            if self.state != "stopped":
                status = process.child.returncode
                concerned = [http_request_of(request_id) for request_id in process.running]
                logger.warning("%s worker exited with status %s", self.role, status, extra={"request_ids": concerned})
                why = "did not respond and was ended" if stalled else f"ended with status {status}"
                self.last_fault = Fault(self.last_error or why)
        finally:
            if process.child.poll() is None:
                process.child.kill()
            process.fail_all("the engine stopped while it had this request; try again")

    def _stalled(self) -> bool:
        settings = self._settings
        limit = settings.llm_stall_timeout_s if self.state == "ready" else settings.llm_load_timeout_s
        return time.monotonic() - self._last_sign_of_life > limit

    def _receive(self, frame: object, process: WorkerProcess) -> None:
        self._last_sign_of_life = time.monotonic()
        try:
            self._on_frame(frame, process)
        except Exception:
            logger.exception("%s worker sent an invalid message; killing it", self.role)
            process.child.kill()

    def _on_frame(self, frame: object, process: WorkerProcess) -> None:
        match frame:
            case list():
                for event in frame:
                    process.deliver(event)
            case Heartbeat():
                self.kv_cache_usage = frame.kv_cache_usage
                self.batch_sizes.update(frame.batch_sizes)
            case Ready():
                self.info, self.last_error, self._loaded = frame.info, None, process
                self._server = self._connect(frame.endpoint, frame.info) if frame.endpoint else None
                if self.state != "stopped":
                    self._enter("ready")
                logger.info(
                    "%s ready: %s on %s after %.1f s",
                    self.role,
                    frame.info.model,
                    frame.info.backend,
                    frame.load_seconds,
                )
            case ModelLoadError():
                self.last_error = str(frame)
                logger.error("%s: %s", self.role, self.last_error)
                if frame.fatal and self.state != "stopped":
                    self.fail(self.last_error)
            case _:
                raise TypeError(f"unexpected frame of type {type(frame).__name__}")

    def _connect(self, endpoint: Endpoint, info: EngineInfo) -> "LlamaCppClient":
        # Imported here: the HTTP client takes a tenth of a second, which other engines need not wait for.
        from engines.llamacpp.client import LlamaCppClient

        return LlamaCppClient(endpoint, info, self._settings.llm_stall_timeout_s)
