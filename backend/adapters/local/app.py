"""ASGI app of one local model: the part of the LLM service's ``/api/llm`` that the backend uses.

Bounded waiting, cancelling by hanging up, errors in the service's bodies. The parent keeps ``/alive`` open; the
process ends with that connection.
"""

import asyncio
import hmac
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from typing import Any, Literal

from service_kit.logs import about_request

from adapters.base import AdapterError, SamplingOptions
from adapters.local.config import Kind, LocalModelConfig
from adapters.local.exchange import Exchange, Message, Receive, Send
from adapters.local.model import Embedder, Finished, Generator, Refused

logger = logging.getLogger(__name__)
Load = Callable[[Kind, LocalModelConfig], Generator | Embedder]
"""Returns a model; blocks. Raises ``AdapterError``."""
State = Literal["idle", "loading", "ready", "failed"]
_BEAT_S = 1.0
_BUSY_RETRY_S = 30


class LocalModelApp:
    """Serves one model, which is loaded once the parent listens to ``/alive``."""

    def __init__(self, kind: Kind, config: LocalModelConfig, key: str, load: Load) -> None:
        self.config = config
        self.state: State = "idle"
        self.last_use = time.monotonic()
        self.inside = 0
        """Requests that wait or are computed."""
        self._kind = kind
        self._authorization = f"Bearer {key}".encode()
        self._load = load
        self._loading: asyncio.Task[None] | None = None
        self._loaded = asyncio.Event()
        self._model: Any = None
        self._fault = ""
        self._thread = ThreadPoolExecutor(1, kind)
        self._slots = asyncio.Semaphore(1)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        exchange = Exchange(scope, receive, send)
        with about_request(exchange.request_id):
            try:
                if not hmac.compare_digest(exchange.headers.get(b"authorization", b""), self._authorization):
                    raise Refused(401, "unauthorized", "the key is missing or wrong")
                body = json.loads(await exchange.body() or b"{}")
                await exchange.while_connected(self._route(scope["path"], body, exchange))
            except Refused as refusal:
                await exchange.refuse(refusal)
            except Exception as error:
                # The edge of a request. What the exception says may quote the question.
                logger.exception("local model failed")
                await exchange.refuse(Refused(500, "generation_failed", type(error).__name__))

    def _route(self, path: str, body: dict[str, Any], exchange: Exchange) -> Coroutine[Any, Any, None]:
        match path, self._kind:
            case "/api/llm/generate", "generator":
                return self._generate(body, exchange)
            case "/api/llm/embed", "embedder":
                return self._embed(body, exchange)
            case "/api/llm/health" | "/readyz", _:
                return self._health(exchange)
            case "/alive", _:
                return self._stay_alive(exchange)
        raise Refused(404, "not_found", "there is no such path")

    async def _generate(self, body: dict[str, Any], exchange: Exchange) -> None:
        stream, started = body.get("stream") is True, time.monotonic()
        text, end, first = "", Finished("stop", 0, 0), None
        async with self._place() as model:
            entered = time.monotonic()
            async with aclosing(model.generate(body["messages"], self._options(body))) as parts:
                async for part in parts:
                    first = first or time.monotonic()
                    if isinstance(part, Finished):
                        end = part
                        continue
                    text += part
                    if stream:
                        await exchange.event({"delta": part})
        answer = _answer(model, text, end, (started, entered, first or entered))
        logger.info("local model answered", extra={"tokens": end.completion_tokens, **answer["timings"]})
        if stream:
            await exchange.event(answer)
            await exchange.done()
        else:
            await exchange.json(200, answer)

    async def _embed(self, body: dict[str, Any], exchange: Exchange) -> None:
        texts = body["texts"]
        async with self._place() as model:
            vectors = await asyncio.get_running_loop().run_in_executor(self._thread, model.encode, texts)
        about = {"dim": len(vectors[0]), "count": len(texts), "model": model.name, "fingerprint": model.fingerprint}
        await exchange.json(200, {"embeddings": vectors, **about, "dtype": "float32"})

    async def _health(self, exchange: Exchange) -> None:
        status = {"ready": "healthy", "failed": "unhealthy"}.get(self.state, "loading")
        degraded = bool(getattr(self._model, "substituted", False))
        body = {"status": status, "degraded": degraded, "inside": self.inside, "error": self._fault}
        await exchange.json(200 if status == "healthy" else 503, body)

    async def _stay_alive(self, exchange: Exchange) -> None:
        """Send a heartbeat until the parent hangs up, however it ended, then end this process."""
        self._loading = self._loading or asyncio.create_task(self._load_model())
        try:
            while True:
                await exchange.write(f"{self.state}\n", "text/plain")
                await asyncio.sleep(_BEAT_S)
        finally:
            os._exit(0)  # native code under way is not worth waiting for

    async def _load_model(self) -> None:
        self.state = "loading"
        try:
            load = asyncio.get_running_loop().run_in_executor(self._thread, self._load, self._kind, self.config)
            self._model = await load
            self._slots = asyncio.Semaphore(getattr(self._model, "slots", 1))
            self.state = "ready"
        except Exception as error:
            # The edge of a task: requests wait for its end.
            known = isinstance(error, AdapterError)
            logger.warning("local model could not be loaded: %s", error, exc_info=not known)
            self.state, self._fault = "failed", str(error) if known else type(error).__name__
        self._loaded.set()
        self.last_use = time.monotonic()

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[Any]:
        """Wait for the model, then for one of its slots; refuse what is too much."""
        if self.inside >= getattr(self._model, "slots", 1) + self.config.max_waiting:
            busy = f"{self.inside} requests are computed or wait"
            raise Refused(503, "overloaded", busy, retryable=True, retry_after_s=_BUSY_RETRY_S)
        self.inside += 1
        try:
            await self._loaded.wait()
            if self._model is None:
                raise Refused(503, "model_unavailable", self._fault)
            async with self._slots:
                yield self._model
        finally:
            self.inside -= 1
            self.last_use = time.monotonic()

    def _options(self, body: dict[str, Any]) -> SamplingOptions:
        config = self.config
        defaults = {"max_new_tokens": config.max_new_tokens, "temperature": config.temperature, "top_p": config.top_p}
        return SamplingOptions(**{name: body.get(name, default) for name, default in defaults.items()})


def _answer(model: Generator, text: str, end: Finished, times: tuple[float, float, float]) -> dict[str, Any]:
    """Return the service's response object; ``times``: request, start and first token, in seconds."""
    (started, entered, first), now = times, time.monotonic()
    timings = {
        "queue_ms": (entered - started) * 1000,
        "ttft_ms": (first - started) * 1000,
        "total_ms": (now - started) * 1000,
        "tokens_per_second": end.completion_tokens / max(now - entered, 1e-6),
    }
    return {
        "answer": text.strip(),
        "model": model.name,
        "degraded": model.substituted,
        "tokens_generated": end.completion_tokens,
        "finish_reason": end.finish_reason,
        "usage": {"prompt_tokens": end.prompt_tokens, "completion_tokens": end.completion_tokens},
        "timings": {name: round(value, 1) for name, value in timings.items()},
    }
