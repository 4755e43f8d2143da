"""Requests to the LLM service: which address, how long, how often, and what a fault means."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from adapters import llm_service_wire as wire
from adapters.base import TechnicalError
from adapters.circuit import Circuit

logger = logging.getLogger(__name__)
T = TypeVar("T")

# Reasons that say that the service is in trouble; "overloaded" or "loading" are the words of a healthy one.
_CIRCUIT_REASONS = frozenset({"connect", "timeout", "protocol", "http_5xx"})
_RETRY_DELAY_S = 0.2


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """Where the LLM service is and how long to wait for it, in seconds."""

    urls: tuple[str, ...]
    enabled: bool = True
    timeout_s: float = 60.0
    """For a whole call: connecting, waiting, both tries and, when streaming, the last token."""
    connect_timeout_s: float = 2.0
    max_retry_wait_s: float = 5.0
    """A longer ``Retry-After`` is not waited for: somebody else may answer sooner."""
    api_key: str | None = None
    dimension: int = 384
    failure_threshold: int = 3
    reset_s: float = 3.0


class ServiceTransport:
    """Sends to one of the addresses, starting with another one each time.

    A request is sent at most twice, the second time only where the first certainly did nothing: no
    connection was made, or the service answered 503 and ``retryable``.
    """

    def __init__(self, config: ServiceConfig) -> None:
        self.config = config
        limit = config.timeout_s
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {config.api_key}"} if config.api_key else {},
            timeout=httpx.Timeout(
                connect=min(config.connect_timeout_s, limit), read=limit, write=min(10.0, limit), pool=min(5.0, limit)
            ),
            # Idle connections go before the server's own five seconds are over.
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=16, keepalive_expiry=4.0),
        )
        self._circuits = {url: Circuit(config.failure_threshold, config.reset_s) for url in config.urls}
        self._turn = 0

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def get_any(self, path: str, timeout_s: float) -> dict[str, Any]:
        """Return the first JSON object that an address answers, whatever its status."""
        fault = TechnicalError("no address is configured", reason="connect")
        for url in self.config.urls:
            try:
                response = await _within(timeout_s, self._client.get(url + path))
                return wire.parse_object(response.content)
            except TechnicalError as error:
                fault = error
        raise fault

    async def post(
        self, path: str, payload: Mapping[str, Any], request_id: str | None, parse: Callable[[dict[str, Any]], T]
    ) -> T:
        """Return the parsed answer; raise ``TechnicalError`` or ``LogicalError``."""
        deadline = time.monotonic() + self.config.timeout_s
        async with self._open(path, payload, request_id, deadline) as response:
            body = await _within(deadline - time.monotonic(), response.aread())
            return parse(wire.parse_object(body))

    async def post_stream(
        self, path: str, payload: Mapping[str, Any], request_id: str | None
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the events of a stream that ends with ``[DONE]``; anything else is a ``TechnicalError``."""
        deadline = time.monotonic() + self.config.timeout_s
        async with self._open(path, payload, request_id, deadline) as response:
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                raise TechnicalError("the LLM service did not answer a stream", reason="protocol")
            parser, chunks = wire.EventParser(), response.aiter_bytes()
            while (chunk := await _within(deadline - time.monotonic(), anext(chunks, None))) is not None:
                for data in parser.feed(chunk):
                    if data == wire.DONE:
                        return
                    yield wire.parse_event(data)
            raise TechnicalError("the LLM service's stream was cut short", reason="protocol")

    @asynccontextmanager
    async def _open(
        self, path: str, payload: Mapping[str, Any], request_id: str | None, deadline: float
    ) -> AsyncIterator[httpx.Response]:
        """Send, hand over a 200 whose body is still to come, and keep the circuit's book about it."""
        url, response = await self._send_with_retry(path, payload, request_id, deadline)
        try:
            yield response
        except TechnicalError as fault:
            self._note(url, fault)
            raise
        else:
            self._circuits[url].record_success()
        finally:
            await response.aclose()

    async def _send_with_retry(
        self, path: str, payload: Mapping[str, Any], request_id: str | None, deadline: float
    ) -> tuple[str, httpx.Response]:
        if not self.config.enabled:
            raise TechnicalError("the LLM service is disabled in the configuration", reason="disabled")
        url = self._pick()
        try:
            return url, await self._send(url, path, payload, request_id, deadline)
        except _SendAgain as again:
            self._note(url, again.fault)
            other = self._pick(avoid=url, default=url)
            delay = 0.0 if other != url else again.fault.retry_after_s or _RETRY_DELAY_S
            if delay > self.config.max_retry_wait_s or time.monotonic() + delay >= deadline:
                raise again.fault from again.fault.__cause__
        except TechnicalError as fault:
            self._note(url, fault)
            raise
        await asyncio.sleep(delay)
        try:
            return other, await self._send(other, path, payload, request_id, deadline)
        except _SendAgain as again:
            self._note(other, again.fault)
            raise again.fault from again.fault.__cause__
        except TechnicalError as fault:
            self._note(other, fault)
            raise

    async def _send(
        self, url: str, path: str, payload: Mapping[str, Any], request_id: str | None, deadline: float
    ) -> httpx.Response:
        """Return a 200; raise ``_SendAgain`` where a second try does no harm."""
        remaining = deadline - time.monotonic()
        headers = {"X-Request-Timeout-Ms": str(max(1, int(remaining * 1000)))}
        if request_id:
            headers["X-Request-ID"] = request_id
        request = self._client.build_request("POST", url + path, json=dict(payload), headers=headers)
        try:
            response = await _within(remaining, self._client.send(request, stream=True))
        except TechnicalError as fault:
            if fault.reason == "connect":
                raise _SendAgain(fault) from fault
            raise
        if response.status_code == httpx.codes.OK:
            return response
        try:
            body = await _within(deadline - time.monotonic(), response.aread())
        finally:
            await response.aclose()
        try:
            wire.raise_for_status(response, body)
        except TechnicalError as fault:
            if wire.is_retryable(response, body):
                raise _SendAgain(fault) from fault
            raise
        raise TechnicalError(f"the LLM service answered {response.status_code}", reason="protocol")

    def _pick(self, *, avoid: str | None = None, default: str | None = None) -> str:
        """Return the next address whose circuit lets a call through."""
        urls = self.config.urls
        for step in range(len(urls)):
            url = urls[(self._turn + step) % len(urls)]
            if url != avoid and self._circuits[url].allow():
                self._turn = (self._turn + step + 1) % len(urls)
                return url
        if default is not None:
            return default
        raise TechnicalError("the LLM service failed repeatedly and is left alone for a moment", reason="circuit_open")

    def _note(self, url: str, fault: TechnicalError) -> None:
        logger.warning("llm service fault", extra={"url": url, "reason": fault.reason, "detail": str(fault)})
        if fault.reason in _CIRCUIT_REASONS:
            self._circuits[url].record_failure()
        else:
            self._circuits[url].record_success()


class _SendAgain(Exception):
    """The request did nothing; carries what to raise when it is not sent again."""

    def __init__(self, fault: TechnicalError) -> None:
        super().__init__(str(fault))
        self.fault = fault


async def _within(seconds: float, awaitable: Awaitable[T]) -> T:
    """Await with a time limit, in this project's errors."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            return await awaitable
    except TimeoutError as error:
        raise TechnicalError("the LLM service did not answer in time", reason="timeout") from error
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise TechnicalError(f"the LLM service cannot be reached: {error}", reason="connect") from error
    except httpx.PoolTimeout as error:
        raise TechnicalError("too many requests to the LLM service are under way", reason="overloaded") from error
    except httpx.TimeoutException as error:
        raise TechnicalError("the LLM service did not answer in time", reason="timeout") from error
    except httpx.HTTPError as error:
        raise TechnicalError(f"the LLM service hung up: {error}", reason="protocol") from error
