"""Process of one local model: ``python -m adapters.local.child generator|embedder``, started by ``launcher``.

Standard input holds one line of JSON, configuration and key, and ends with the parent. Standard output holds the port,
then the model's state each second; for libraries it is replaced by standard error.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from typing import cast

from service_kit.observability.logs import configure_logging
from service_kit.openmp import bound_spinning

from adapters.local.app import Load, LocalModelApp
from adapters.local.config import Kind, LocalModelConfig
from adapters.local.model import Embedder, Generator

_BEAT_S = 1.0
_LOOK_S = 0.1


def load_model(kind: Kind, config: LocalModelConfig) -> Generator | Embedder:
    """Load the configured model or its stand-in. Blocks; raises ``TechnicalError``."""
    from adapters.local import files

    if kind == "embedder":
        folder = files.resolve_embedding_model(config)
        from adapters.local.embedders import load_embedder

        return load_embedder(folder, config)
    model = files.resolve_language_model(config)
    if model.gguf is not None:
        from adapters.local.llama_cpp import LlamaCpp

        return LlamaCpp(model, enable_thinking=config.enable_thinking)
    from adapters.local.transformers_model import TransformersModel

    return TransformersModel(model, config)


def main(load: Load = load_model) -> None:
    """Serve until the parent ends or nothing is asked for ``idle_s``; never returns."""
    # Ctrl-C reaches the whole terminal; the parent decides when this process ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(5)  # the parent answers health checks meanwhile; on Windows it set the priority itself
    os.environ.setdefault("TQDM_DISABLE", "1")  # progress bars are no log lines
    bound_spinning()
    # Two of its threads spin for each other: 64 texts in 9 to 16 s instead of 2.4 on two busy cores.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    kind = cast("Kind", sys.argv[1])
    order = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    config = LocalModelConfig(**order["config"])
    configure_logging(config.log_level, config.log_format, process="local_models", secrets=[order["key"]])
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    pipe = os.dup(1)
    os.dup2(2, 1)
    os.write(pipe, f"{listener.getsockname()[1]}\n".encode())
    asyncio.run(_serve(LocalModelApp(kind, config, order["key"], load), listener, pipe))


def _end_with_parent() -> None:
    """End the process when the parent has ended, however it did, without waiting for native code that is running."""
    sys.stdin.buffer.read()
    os._exit(0)


async def _serve(app: LocalModelApp, listener: socket.socket, pipe: int) -> None:
    import uvicorn  # after the port is known: the parent connects meanwhile

    class Server(uvicorn.Server):
        def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # type: ignore[override]
            return contextlib.nullcontext()

    options = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none", log_level="warning")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(app.load_model())
        tasks.create_task(_beat(app, pipe))
        tasks.create_task(_end_when_useless(app))
        await Server(options).serve(sockets=[listener])


async def _beat(app: LocalModelApp, pipe: int) -> None:
    while True:
        os.write(pipe, f"{app.state}\n".encode())
        await asyncio.sleep(_BEAT_S)


async def _end_when_useless(app: LocalModelApp) -> None:
    """End the process when it is idle, and when another try to load the model is due."""
    while True:
        await asyncio.sleep(_LOOK_S)
        unused_s = time.monotonic() - app.last_use
        idle_s = app.config.idle_s
        if app.state == "failed":
            useless = unused_s > app.config.retry_load_s
        else:
            useless = app.state == "ready" and idle_s is not None and not app.inside and unused_s > idle_s
        if useless:
            os._exit(0)


if __name__ == "__main__":
    main()
