"""The connections to an upstream: bounded, and whatever goes wrong on them in this service's own words."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2

from engines.base import Failure
from engines.openai_upstream_faults import UpstreamFault, from_answer, from_transport, malformed, no_api
from engines.openai_upstream_wire import api_root

POOL_TIMEOUT_S = 5.0
KEPT_IDLE_S = 4.0
"""Idle connections go before the five seconds after which uvicorn, and vLLM with it, closes them."""
LAST_BYTES_S = 0.25
LONGEST_ERROR, LONGEST_BODY = 64 * 1024, 8 * 1024 * 1024

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class UpstreamSpec:
    """Where the upstream is and what to ask it for. ``model``: its own name for the model, ``None`` for
    ``requested_model`` or else the only one that it has. ``ready_path``: what is asked whether it is ready,
    in place of its list of models. Times in seconds.
    """

    url: str
    requested_model: str
    model: str | None = None
    api_key: str | None = field(default=None, repr=False)
    ready_path: str | None = None
    template_arguments: bool = True
    max_connections: int = 16
    connect_timeout_s: float = 5.0
    stall_timeout_s: float = 60.0


class Exchange:
    """An answer that has begun: 200, and of the kind that was wanted. Its pieces are read once."""

    def __init__(self, http: "UpstreamHttp", response: httpx2.Response) -> None:
        self._http = http
        self._pieces = response.aiter_raw()

    async def next_piece(self) -> bytes | None:
        """Return what comes next, ``None`` at the end; raises ``UpstreamFault``."""
        return await self._http.told(anext(self._pieces, None))

    async def read_last_bytes(self) -> None:
        """Read to the end, if it comes soon: a connection is used again only when its answer was read whole."""
        with contextlib.suppress(TimeoutError, httpx2.HTTPError):
            async with asyncio.timeout(LAST_BYTES_S):
                async for _ in self._pieces:
                    pass


class UpstreamHttp:
    """The HTTP client of one upstream. Use from one event loop."""

    def __init__(self, spec: UpstreamSpec) -> None:
        self.root = api_root(spec.url)
        origin = urlsplit(spec.url)
        self._origin = f"{origin.scheme}://{origin.netloc}"
        self._client = _http_client(spec)
        self._waits: set[asyncio.Timeout] = set()

    async def close(self) -> None:
        """Close every connection; what is awaited ends with a fault."""
        for wait in tuple(self._waits):
            wait.reschedule(asyncio.get_running_loop().time())
        await self._client.aclose()

    @contextlib.asynccontextmanager
    async def stream(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> AsyncIterator[Exchange]:
        """POST to a path of the API and give the streamed answer; leaving early closes the connection."""
        message = self._client.build_request("POST", f"{self.root}{path}", json=body, headers=dict(headers))
        response = await self.told(self._client.send(message, stream=True))
        try:
            await self._check(response, "text/event-stream")
            yield Exchange(self, response)
        finally:
            await response.aclose()

    async def models(self) -> bytes:
        """GET the API's list of models; raises ``UpstreamFault``."""
        async with self._got(f"{self.root}/models") as response:
            await self._check(response, "application/json")
            return await self._whole(response, LONGEST_BODY)

    async def probe(self, path: str) -> None:
        """GET a path of the server; raises ``UpstreamFault`` when that does not succeed."""
        async with self._got(f"{self._origin}{path}") as response:
            if not response.is_success:
                raise from_answer(response.status_code, response.headers, b"")
            await self._whole(response, LONGEST_ERROR)

    async def told(self, awaitable: Awaitable[T]) -> T:
        """Await; raise ``UpstreamFault`` for what goes wrong on the way, and when the service stops."""
        try:
            # Each wait has a scope of its own, since the waits of one answer may be different tasks'.
            async with asyncio.timeout(None) as wait:
                self._waits.add(wait)
                try:
                    return await awaitable
                finally:
                    self._waits.discard(wait)
        except httpx2.HTTPError as error:
            raise from_transport(error) from error
        except TimeoutError as error:
            raise UpstreamFault(Failure.ENGINE_RESTARTED, "the service is stopping") from error

    @contextlib.asynccontextmanager
    async def _got(self, url: str) -> AsyncIterator[httpx2.Response]:
        response = await self.told(self._client.send(self._client.build_request("GET", url), stream=True))
        try:
            yield response
        finally:
            await response.aclose()

    async def _check(self, response: httpx2.Response, wanted: str) -> None:
        if response.status_code != httpx2.codes.OK:
            raise from_answer(response.status_code, response.headers, await self._whole(response, LONGEST_ERROR))
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == wanted:
            return
        if kind == "application/json":
            raise malformed("one piece of JSON in place of a stream")
        raise no_api(kind[:80])

    async def _whole(self, response: httpx2.Response, longest: int) -> bytes:
        """Read a body, or as much of it as makes sense."""
        body, exchange = bytearray(), Exchange(self, response)
        while len(body) < longest and (piece := await exchange.next_piece()) is not None:
            body += piece
        return bytes(body[:longest])


def _http_client(spec: UpstreamSpec) -> httpx2.AsyncClient:
    headers = {"Accept-Encoding": "identity", "User-Agent": "llm-service"}
    if spec.api_key:
        headers["Authorization"] = f"Bearer {spec.api_key}"
    return httpx2.AsyncClient(
        headers=headers,
        timeout=httpx2.Timeout(
            connect=spec.connect_timeout_s, read=spec.stall_timeout_s, write=spec.stall_timeout_s, pool=POOL_TIMEOUT_S
        ),
        # One more than there are requests at once: for asking whether it is ready.
        limits=httpx2.Limits(
            max_connections=spec.max_connections + 1,
            max_keepalive_connections=spec.max_connections,
            keepalive_expiry=KEPT_IDLE_S,
        ),
        # A proxy is for what lies outside; the environment's must not get what is said on this machine.
        trust_env=urlsplit(spec.url).hostname not in ("localhost", "127.0.0.1", "::1"),
    )
