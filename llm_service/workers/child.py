"""Worker process: one model, one loop.

Started by ``workers.parent`` as ``python -m workers.child ROLE``. Settings, then commands, arrive on what was standard
input; events leave on what was standard output. Everything printed goes to standard error, so that no library can
disturb the protocol.
"""

import logging
import os
import queue
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import BinaryIO, cast

from service_kit.observability.logs import about_request, configure_logging
from service_kit.openmp import bound_spinning

from config.settings import Settings
from engines.base import Engine, Heartbeat, ModelLoadError, Texts
from engines.errors import GenerationFailed, ServiceError
from engines.events import Accepted, Failed, LastEvent, RequestEvent
from engines.llamacpp.endpoint import EndpointServer
from engines.requests import DetokenizeRequest, GenerationRequest, Request, TokenizeRequest, http_request_of
from workers.frames import FrameTooLarge, FrameWriter, PeerGone, read_frames
from workers.loading import LOADERS
from workers.messages import Cancel, Command, Ready, Shutdown
from workers.supervision import start_thread

HEARTBEAT_EVERY_S = 1.0
BROKEN_EXIT_CODE = 70
Commands = queue.SimpleQueue[Command]

logger = logging.getLogger("worker")


def main(role: str) -> int:
    """Run a worker until its parent goes away or the engine breaks; returns the exit status."""
    events, frames = FrameWriter(_take_over_stdout()), read_frames(_take_over_stdin())
    # Ctrl-C reaches the whole terminal; the parent decides when its workers leave.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _yield_to_the_http_process()
    settings: Settings = next(frames)
    os.environ.update(settings.hub_environment)
    bound_spinning()
    secrets = [settings.hub_environment.get("HF_TOKEN", "")]
    configure_logging(settings.log_level, settings.log_format, process=role, secrets=secrets, quote_errors=True)
    commands: Commands = queue.SimpleQueue()

    def receive() -> None:
        for command in frames:
            commands.put(command)

    # The pipe ends when the parent closes it or dies. A step may be under way in native code that cannot be
    # interrupted, so the process ends without it.
    start_thread(receive, "commands", lambda error: os._exit(0 if error is None else BROKEN_EXIT_CODE))
    started = time.monotonic()
    try:
        engine = LOADERS[role](settings)
        engine.warm_up()
    except ModelLoadError as error:
        events.send(error)
        return BROKEN_EXIT_CODE
    except Exception as error:
        logger.exception("loading the model failed")
        reason = f"loading the model failed ({type(error).__name__}); see the log"
        events.send(ModelLoadError(reason, fatal=False))
        return BROKEN_EXIT_CODE
    endpoint = engine.endpoint if isinstance(engine, EndpointServer) else None
    events.send(Ready(engine.info, time.monotonic() - started, endpoint))
    try:
        if isinstance(engine, EndpointServer):
            return _watch(engine, commands, events)
        return _serve(engine, commands, events)
    except PeerGone:
        return 0
    except Exception:
        logger.exception("the engine cannot continue; this worker ends and is replaced")
        return BROKEN_EXIT_CODE


def _take_over_stdin() -> BinaryIO:
    """Return a private copy of standard input, which becomes empty.

    On Windows a read that waits on the process's own standard input can block libraries that are loaded meanwhile:
    their C runtime inspects that handle (numpy#24290, cpython#78961).
    """
    private = os.dup(0)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    return os.fdopen(private, "rb")


def _take_over_stdout() -> BinaryIO:
    """Return a private copy of standard output, which becomes standard error."""
    sys.stdout.flush()
    private = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return os.fdopen(private, "wb")


def _yield_to_the_http_process() -> None:
    """Lower the priority below the process that answers health checks. On Windows the parent sets it."""
    if hasattr(os, "nice"):
        os.nice(5)


def _serve(engine: Engine, commands: Commands, events: FrameWriter) -> int:
    """Feed commands to the engine and forward its events, until shutdown. Raises the error that breaks the engine."""
    last_heartbeat = 0.0
    batch_sizes: Counter[int] = Counter()
    while True:
        now = time.monotonic()
        if now - last_heartbeat >= HEARTBEAT_EVERY_S:
            events.send(Heartbeat(engine.kv_cache_usage, dict(batch_sizes)))
            batch_sizes.clear()
            last_heartbeat = now
        idle = engine.running == 0
        for command in _take(commands, wait_s=HEARTBEAT_EVERY_S if idle else 0.0):
            if isinstance(command, Shutdown):
                engine.close()
                return 0
            if isinstance(command, Cancel):
                engine.cancel(command.request_id)
            else:
                _send(events, _submit(engine, command))
        if engine.running == 0:
            continue
        fresh = engine.step()
        if engine.batch_size:
            batch_sizes[engine.batch_size] += 1
        _send(events, fresh)
        _log_ends(fresh)


def _log_ends(fresh: Sequence[RequestEvent]) -> None:
    for event in fresh:
        if not isinstance(event, LastEvent):
            continue
        about = {"request_id": http_request_of(event.request_id)}
        if isinstance(event, Failed):
            logger.warning("request failed", extra=about | {"failure": event.error.type, "reason": event.error.message})
        else:
            logger.debug("request answered", extra=about)


def _watch(server: EndpointServer, commands: Commands, events: FrameWriter) -> int:
    """Send a heartbeat whenever the server makes progress, until shutdown. Requests reach the server directly."""
    while True:
        try:
            if isinstance(commands.get(timeout=HEARTBEAT_EVERY_S), Shutdown):
                server.close()
                return 0
        except queue.Empty:
            heartbeat = server.heartbeat()
            if heartbeat is not None:
                events.send(heartbeat)


def _send(events: FrameWriter, fresh: Sequence[RequestEvent]) -> None:
    """Send events in one frame; an event that alone is too large for one fails its request."""
    if not fresh:
        return
    try:
        events.send(list(fresh))
    except FrameTooLarge:
        for event in fresh:
            try:
                events.send([event])
            except FrameTooLarge:
                logger.exception("an answer is too large for a frame")
                events.send([Failed(event.request_id, GenerationFailed("the answer is too large; ask for less"))])


def _take(commands: Commands, wait_s: float) -> list[Command]:
    taken: list[Command] = []
    try:
        taken.append(commands.get(timeout=wait_s) if wait_s else commands.get_nowait())
        while True:
            taken.append(commands.get_nowait())
    except queue.Empty:
        return taken


def _submit(engine: Engine, request: Request) -> list[RequestEvent]:
    """Hand a request to the engine and return its first event; an exception fails that request alone."""
    with about_request(http_request_of(request.id)):
        try:
            match request:
                case TokenizeRequest():
                    return [cast(Texts, engine).tokenize(request)]
                case DetokenizeRequest():
                    return [cast(Texts, engine).detokenize(request)]
            engine.submit(request)
        except ServiceError as error:
            # A mistake of the client, which gets the message.
            logger.debug("request rejected", extra={"failure": error.type})
            return [Failed(request.id, error)]
        except Exception:
            logger.exception("a request could not be submitted")
            return [Failed(request.id, GenerationFailed("the engine could not take the request"))]
    return [Accepted(request.id)] if isinstance(request, GenerationRequest) else []


if __name__ == "__main__":
    status = main(sys.argv[1])
    # The thread that reads commands is inside a read that cannot be interrupted; an ordinary exit would wait for it.
    sys.stderr.flush()
    os._exit(status)
