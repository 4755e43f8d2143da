"""A worker process: one model, one loop.

Started by ``engines.client`` as ``python -m engines.worker ROLE``. Its settings and then commands
come in on standard input, events leave on what was standard output; everything else that is
printed goes to standard error, so that no library can disturb the protocol. This is the only
module that imports engines, each by name and only when it is wanted.
"""

import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from config.logs import about_request, configure_logs
from engines.base import (
    Cancel,
    Command,
    Engine,
    EngineBroken,
    Failed,
    Failure,
    LoadFailed,
    ModelLoadError,
    Ready,
    RequestRejected,
    Shutdown,
    Submit,
    WorkerSpec,
)
from engines.request_ids import http_request_of
from engines.transport import FrameWriter, read_frames
from engines.worker_notes import StepCounts, note_cancelled, note_ended, note_submitted

if TYPE_CHECKING:
    from engines.model_artifacts import ModelArtifact
    from engines.model_hub import ModelHub

HEARTBEAT_EVERY_S = 1.0
BROKEN_EXIT_CODE = 70

logger = logging.getLogger("worker")


def main(role: str) -> int:
    """Run a worker until its parent goes away or the engine breaks; returns the exit status."""
    events = FrameWriter(_take_over_stdout())
    # Ctrl-C reaches the whole terminal; the parent decides when its workers leave.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _yield_to_the_http_process()
    frames = read_frames(sys.stdin.buffer)
    spec: WorkerSpec = next(frames)
    os.environ.update(spec.hub_environment)
    # Torch's threads would otherwise spin while they wait, and take the processor from each other
    # when all cores are busy: 24 tokens in 3.6 s instead of more than 40 (docs/experiments.md).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    configure_logs(spec.log_level, spec.log_format, process=role)
    commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(frames, commands), name="commands", daemon=True).start()
    started = time.monotonic()
    try:
        engine = (_load_generator if role == "generator" else _load_embedder)(spec)
        engine.warm_up()
    except ModelLoadError as error:
        events.send(LoadFailed(str(error), fatal=error.fatal))
        return BROKEN_EXIT_CODE
    except Exception as error:
        logger.exception("loading the model failed")
        events.send(LoadFailed(f"loading the model failed ({type(error).__name__}); see the log", fatal=False))
        return BROKEN_EXIT_CODE
    events.send(Ready(engine.info, time.monotonic() - started))
    try:
        return _serve(engine, commands, events.send)
    except OSError:
        return 0  # the parent is gone


def _take_over_stdout() -> BinaryIO:
    """Keep standard output for events and let everybody else's prints go to standard error."""
    sys.stdout.flush()
    private = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return os.fdopen(private, "wb")


def _yield_to_the_http_process() -> None:
    """Ask for less of the processor than the process that answers health checks. On Windows the
    parent sets the priority when it starts this process.
    """
    if hasattr(os, "nice"):
        os.nice(5)


def _receive(frames: Iterator[Command], commands: "queue.SimpleQueue[Command]") -> None:
    for command in frames:
        commands.put(command)
    # The parent closed the pipe or died. A step may be under way in native code that cannot be
    # interrupted and that nobody waits for: leave without it.
    os._exit(0)


def _serve(engine: Engine, commands: "queue.SimpleQueue[Command]", send: Callable[[object], None]) -> int:
    """Feed commands to the engine and send on what it answers, until told to stop."""
    last_heartbeat = 0.0
    counts = StepCounts()
    while True:
        now = time.monotonic()
        if now - last_heartbeat >= HEARTBEAT_EVERY_S:
            send(counts.heartbeat(engine))
            last_heartbeat = now
        idle = engine.running == 0
        for command in _take(commands, wait_s=HEARTBEAT_EVERY_S if idle else 0.0):
            if isinstance(command, Shutdown):
                engine.close()
                return 0
            _apply(engine, command, send)
        if engine.running == 0:
            continue
        try:
            events = engine.step()
        except EngineBroken:
            logger.exception("the engine cannot go on; this worker ends and is replaced")
            return BROKEN_EXIT_CODE
        counts.add(engine)
        if events:
            send(list(events))
            note_ended(events)


def _take(commands: "queue.SimpleQueue[Command]", wait_s: float) -> list[Command]:
    taken: list[Command] = []
    try:
        taken.append(commands.get(timeout=wait_s) if wait_s else commands.get_nowait())
        while True:
            taken.append(commands.get_nowait())
    except queue.Empty:
        return taken


def _apply(engine: Engine, command: Submit | Cancel, send: Callable[[object], None]) -> None:
    if isinstance(command, Cancel):
        engine.cancel(command.request_id)
        note_cancelled(command.request_id)
        return
    request_id = command.request.id
    with about_request(http_request_of(request_id)):
        try:
            engine.submit(command.request)
        except RequestRejected as error:
            # Its message is the caller's to read, and the caller's fault.
            logger.debug("request rejected", extra={"failure": str(error.failure)})
            send([Failed(request_id, error.failure, str(error), error.details)])
        except Exception:
            # One request that trips the engine must not take the others along.
            logger.exception("a request could not be submitted")
            send([Failed(request_id, Failure.GENERATION_FAILED, "the engine could not take the request")])
        else:
            note_submitted(request_id)


def _load_generator(spec: WorkerSpec) -> Engine:
    if spec.backend == "fake":
        from engines.fake import FakeGenerator

        return FakeGenerator()
    from engines.hardware import cuda_device_count
    from engines.models import resolve_generator

    resolved = resolve_generator(
        spec.model,
        _one_of(spec.backend),
        use_cuda=spec.device_map != "cpu" and cuda_device_count() > 0,
        offline_model=_one_of(spec.offline_model),
        hub=_hub(spec),
    )
    try:
        return _start_generator(resolved.artifact, resolved.backend, spec)
    except ModelLoadError as error:
        if resolved.fallback is None:
            raise
        logger.warning("%s; trying the %s engine", error, resolved.fallback)
        try:
            return _start_generator(resolved.artifact, resolved.fallback, spec)
        except ModelLoadError as second:
            raise ModelLoadError(f"{error}. The other engine failed too: {second}", fatal=second.fatal) from second


def _hub(spec: WorkerSpec) -> "ModelHub":
    from engines.model_hub import ModelHub
    from engines.model_pins import ModelPins

    return ModelHub(ModelPins(Path(spec.cache_dir) if spec.cache_dir else None))


def _start_generator(artifact: "ModelArtifact", backend: str, spec: WorkerSpec) -> Engine:
    logger.info("loading %s (%s) with %s", artifact.model, artifact.format, backend)
    if backend == "openvino":
        from engines.loading_errors import LOADING_ERRORS, loading_advice
        from engines.openvino_generator import OpenVinoGenerator

        try:
            return OpenVinoGenerator(
                artifact,
                max_batch=spec.max_batch,
                dtype=spec.dtype,
                kv_cache_gb=spec.kv_cache_gb,
                max_batched_tokens=spec.max_batched_tokens,
                reproducible=spec.reproducible,
                prompt_lookup=spec.prompt_lookup,
                stream_interval_s=spec.stream_interval_s,
                cache_dir=Path(spec.cache_dir) if spec.cache_dir else None,
            )
        except LOADING_ERRORS as error:  # a GGUF header without a field it counts on shows as an IndexError
            raise ModelLoadError(loading_advice("OpenVINO", artifact.model, artifact.path, error)) from error
    from engines.transformers_generator import TransformersGenerator

    return TransformersGenerator(
        model_path=artifact.path,
        requested_model=artifact.requested_model,
        model_name=artifact.model,
        degraded=artifact.degraded,
        device_map=spec.device_map,
        dtype=spec.dtype,
        max_batch=spec.max_batch,
        kv_cache_gb=spec.kv_cache_gb,
        max_batched_tokens=spec.max_batched_tokens,
        reproducible=spec.reproducible,
    )


def _load_embedder(spec: WorkerSpec) -> Engine:
    if spec.backend == "fake":
        from engines.fake import FakeEmbedder

        return FakeEmbedder()
    from engines.models import resolve_embedder

    artifact = resolve_embedder(spec.model, hub=_hub(spec))
    logger.info("loading %s", artifact.model)
    if spec.backend != "sentence_transformers":
        from engines.engine_fit import openvino_can_embed

        if openvino_can_embed(artifact.path):
            from engines.openvino_embedder import OpenVinoEmbedder

            return OpenVinoEmbedder(artifact, Path(spec.cache_dir))
        if spec.backend == "openvino":
            raise ModelLoadError(
                f"OpenVINO cannot embed with {artifact.model}: set EMBEDDING_BACKEND=sentence_transformers"
            )
    from engines.sentence_transformers_embedder import SentenceTransformersEmbedder

    device = "cpu" if spec.device_map == "cpu" else "auto"
    return SentenceTransformersEmbedder(
        model_path=artifact.path, model_name=artifact.model, requested_model=artifact.requested_model, device=device
    )


def _one_of(value: str) -> Any:
    """The settings have checked the value; here it is a plain string again."""
    return value


if __name__ == "__main__":
    status = main(sys.argv[1])
    # The thread that reads commands is inside a read that cannot be ended; an ordinary exit would
    # wait for its lock.
    sys.stderr.flush()
    os._exit(status)
