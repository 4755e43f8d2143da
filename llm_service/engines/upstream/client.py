"""HTTP client of an OpenAI-compatible server: bounded connections, streamed answers, errors as ``ServiceError``."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx2

from engines.events import RequestEvent
from engines.requests import GenerationRequest
from engines.upstream.answer import BYTES_PER_TOKEN, DONE, FREE_BYTES, AnswerReader, EventReader
from engines.upstream.faults import from_answer, from_transport, malformed, no_api

POOL_TIMEOUT_S = 5.0
KEPT_IDLE_S = 4.0
"""Idle connections go before the five seconds after which uvicorn, and vLLM with it, closes them."""
LAST_BYTES_S = 0.25
LONGEST_BODY = 8 * 1024 * 1024


class CompletionClient:
    """Client of one server. Use from one event loop; cancelling a call closes its connection.

    Times in seconds; ``stall_timeout_s`` bounds the server's silence. ``keep_alive``: use connections again.
    ``wire_bytes``: what an answer may take beyond its tokens.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None,
        *,
        max_connections: int,
        connect_timeout_s: float,
        stall_timeout_s: float,
        keep_alive: bool = True,
        wire_bytes: int = FREE_BYTES,
    ) -> None:
        parts = urlsplit(url)
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self.root = url.rstrip("/") if parts.path.strip("/") else f"{self.origin}/v1"
        self._wire_bytes = wire_bytes
        headers = {"Accept-Encoding": "identity", "User-Agent": "llm-service"}
        self._client = httpx2.AsyncClient(
            headers=headers | ({"Authorization": f"Bearer {api_key}"} if api_key else {}),
            timeout=httpx2.Timeout(stall_timeout_s, connect=connect_timeout_s, pool=POOL_TIMEOUT_S),
            # One more than the concurrent requests, for probes.
            limits=httpx2.Limits(
                max_connections=max_connections + 1,
                max_keepalive_connections=max_connections if keep_alive else 0,
                keepalive_expiry=KEPT_IDLE_S,
            ),
            # The environment's proxy is for other hosts; it must not get requests to this machine.
            trust_env=parts.hostname not in ("localhost", "127.0.0.1", "::1"),
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def answer(self, request: GenerationRequest, body: Mapping[str, Any]) -> AsyncGenerator[RequestEvent, None]:
        """POST ``body`` for a request and yield its events up to ``Finished``; raises ``ServiceError``."""
        url = f"{self.root}/{'completions' if request.raw else 'chat/completions'}"
        headers = dict(request.trace_headers)
        reader = EventReader(self._wire_bytes + BYTES_PER_TOKEN * request.sampling.max_new_tokens)
        answer = AnswerReader(request)
        async with self._exchange("POST", url, body, headers) as response:
            await _check(response, "text/event-stream")
            pieces = response.aiter_raw()
            async for piece in pieces:
                for data in reader.feed(piece):
                    if data == DONE:
                        await _read_last_bytes(pieces)
                        yield answer.finish()
                        return
                    for event in answer.take(data):
                        yield event
            yield answer.finish()

    async def call(self, url: str, body: Mapping[str, Any] | None = None) -> bytes:
        """POST ``body``, or GET without one; return the JSON of the answer. Raises ``ServiceError``."""
        async with self._exchange("POST" if body is not None else "GET", url, body) as response:
            await _check(response, "application/json")
            return await _whole(response)

    async def probe(self, url: str) -> None:
        """GET ``url``; raises ``ServiceError`` unless it succeeds."""
        async with self._exchange("GET", url) as response:
            if not response.is_success:
                raise from_answer(response.status_code, response.headers, b"")
            await _whole(response)

    @contextlib.asynccontextmanager
    async def _exchange(
        self, method: str, url: str, body: Mapping[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> AsyncIterator[httpx2.Response]:
        try:
            async with self._client.stream(method, url, json=body, headers=headers) as response:
                yield response
        except httpx2.HTTPError as error:
            raise from_transport(error) from error


async def _check(response: httpx2.Response, wanted: str) -> None:
    if response.status_code != httpx2.codes.OK:
        raise from_answer(response.status_code, response.headers, await _whole(response))
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == wanted:
        return
    if kind == "application/json":
        raise malformed("a JSON body instead of a stream")
    raise no_api(kind[:80])


async def _whole(response: httpx2.Response) -> bytes:
    """Read a body, up to a limit."""
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > LONGEST_BODY:
            raise malformed("it does not end")
    return bytes(body)


async def _read_last_bytes(pieces: AsyncIterator[bytes]) -> None:
    """Read to the end, if it comes soon: a connection is used again only when its answer was read whole."""
    with contextlib.suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(LAST_BYTES_S):
            async for _ in pieces:
                pass
