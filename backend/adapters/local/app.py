"""ASGI app of one local model: the part of the LLM service's ``/api/llm`` that the backend uses.

Waiting is bounded, a closed connection cancels, and errors have the service's bodies.
"""

import asyncio
import hmac
import json
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from typing import Any, Literal

from service_kit.disconnect import CLIENT_CLOSED, ClientDisconnected, until_disconnect
from service_kit.errors import Problem, Refusal, error_body, error_response
from service_kit.observability.logs import about_request
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from adapters.local.config import Kind, LocalModelConfig
from adapters.local.model import Embedder, Finished, Generator
from adapters.ports.models import SamplingOptions, TechnicalError
from service_kit import sse

logger = logging.getLogger(__name__)
Load = Callable[[Kind, LocalModelConfig], Generator | Embedder]
"""Returns a model; blocks. Raises ``TechnicalError``."""
State = Literal["loading", "ready", "failed"]
_BUSY_RETRY_S = 30


class LocalModelApp:
    """Serves one model; requests wait for ``load_model``."""

    def __init__(self, kind: Kind, config: LocalModelConfig, key: str, load: Load) -> None:
        self.config = config
        self.state: State = "loading"
        self.last_use = time.monotonic()
        self.inside = 0
        """Requests that wait or are computed."""
        self._kind = kind
        self._authorization = f"Bearer {key}".encode()
        self._load = load
        self._loaded = asyncio.Event()
        self._model: Any = None
        self._fault = ""
        self._thread = ThreadPoolExecutor(1, kind)
        self._slots = asyncio.Semaphore(1)
        asked = Route("/api/llm/generate", self._generate, methods=["POST"])
        if kind == "embedder":
            asked = Route("/api/llm/embed", self._embed, methods=["POST"])
        self._app = Starlette(
            routes=[asked, Route("/readyz", self._ready)],
            exception_handlers={Refusal: _failed, ClientDisconnected: _left, Exception: _failed},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        headers = Headers(scope=scope)
        with about_request(headers.get("x-request-id")):
            if not hmac.compare_digest(headers.get("authorization", "").encode(), self._authorization):
                problem = Problem(401, "unauthorized", "the key is missing or wrong")
                await error_response(scope, problem)(scope, receive, send)
                return
            try:
                await self._app(scope, receive, send)
            except Exception:
                # The edge of a request, which has been answered.
                logger.exception("local model failed")

    async def _generate(self, request: Request) -> Response:
        body = await request.json()
        parts = self._parts(body)
        if body.get("stream") is True:
            # Headers are sent with the first part, so that a refusal before it has its own status.
            first = await until_disconnect(request, anext(parts))
            return StreamingResponse(_events(first, parts), media_type=sse.MEDIA_TYPE)

        async def last() -> dict[str, Any]:
            return [part async for part in parts][-1]

        return JSONResponse(await until_disconnect(request, last()))

    async def _parts(self, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """Yield deltas, then the service's response object."""
        started = time.monotonic()
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
                    yield {"delta": part}
        answer = _answer(model, text, end, (started, entered, first or entered))
        logger.info("local model answered", extra={"tokens": end.completion_tokens, **answer["timings"]})
        yield answer

    async def _embed(self, request: Request) -> Response:
        texts = (await request.json())["texts"]

        async def vectors() -> list[list[float]]:
            async with self._place() as model:
                return await asyncio.get_running_loop().run_in_executor(self._thread, model.encode, texts)

        made = await until_disconnect(request, vectors())
        about = {"model": self._model.name, "fingerprint": self._model.fingerprint}
        return JSONResponse({"embeddings": made, **about})

    async def _ready(self, _request: Request) -> Response:
        return JSONResponse({"status": self.state}, 200 if self.state == "ready" else 503)

    async def load_model(self) -> None:
        """Load the model; a failure is what requests are answered with."""
        try:
            load = asyncio.get_running_loop().run_in_executor(self._thread, self._load, self._kind, self.config)
            self._model = await load
            self._slots = asyncio.Semaphore(getattr(self._model, "slots", 1))
            self.state = "ready"
        except Exception as error:
            # The edge of a task: requests wait for its end.
            known = isinstance(error, TechnicalError)
            logger.warning("local model could not be loaded: %s", error, exc_info=not known)
            self.state, self._fault = "failed", str(error) if known else type(error).__name__
        self._loaded.set()
        self.last_use = time.monotonic()

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[Any]:
        """Wait for the model, then for one of its slots; refuse requests beyond the limit."""
        if self.inside >= getattr(self._model, "slots", 1) + self.config.max_waiting:
            busy = f"{self.inside} requests are computed or wait"
            raise Refusal(Problem(503, "overloaded", busy, retryable=True, retry_after_s=_BUSY_RETRY_S))
        self.inside += 1
        try:
            await self._loaded.wait()
            if self._model is None:
                raise Refusal(Problem(503, "local_unavailable", self._fault))
            async with self._slots:
                yield self._model
        finally:
            self.inside -= 1
            self.last_use = time.monotonic()

    def _options(self, body: dict[str, Any]) -> SamplingOptions:
        config = self.config
        defaults = {"max_new_tokens": config.max_new_tokens, "temperature": config.temperature, "top_p": config.top_p}
        return SamplingOptions(**{name: body.get(name, default) for name, default in defaults.items()})


async def _events(first: dict[str, Any], parts: AsyncGenerator[dict[str, Any], None]) -> AsyncIterator[bytes]:
    try:
        async with aclosing(parts):
            yield sse.event(json.dumps(first).encode())
            async for part in parts:
                yield sse.event(json.dumps(part).encode())
        yield sse.DONE
    except Exception as error:
        # The edge of a request: its headers are sent.
        logger.exception("local model failed")
        yield sse.event(json.dumps(error_body(_problem(error), "")).encode())


def _problem(error: Exception) -> Problem:
    # An exception's message may quote the question.
    return error.problem if isinstance(error, Refusal) else Problem(500, "generation_failed", type(error).__name__)


async def _left(_request: Request, _error: Exception) -> Response:
    return Response(status_code=CLIENT_CLOSED)


async def _failed(request: Request, error: Exception) -> Response:
    return error_response(request.scope, _problem(error))


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
