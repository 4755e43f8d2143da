"""Requests to the LLM service: deadline, then circuit breaker, then retry budget, then the attempt."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx2
from opentelemetry.trace import Span
from service_kit.tracing import propagation_headers

from adapters.base import TechnicalError
from adapters.circuit import Circuit, Permit
from adapters.deadline import Deadline
from adapters.llm_service import tracing, wire
from adapters.llm_service.config import ServiceConfig
from adapters.llm_service.endpoints import Endpoint, Endpoints
from adapters.llm_service.faults import Busy, Disabled, HungUp, Malformed, PoolExhausted, TimedOut, Unreachable
from adapters.llm_service.retries import Attempts
from adapters.llm_service.retry_budget import RetryBudget

T = TypeVar("T")
_READY = "/readyz"


@dataclass(frozen=True, slots=True)
class _Call:
    path: str
    payload: Mapping[str, Any]
    request_id: str | None


class ServiceTransport:
    """Sends calls to the addresses of the LLM service.

    Retries a failed call while its deadline and the retry budget allow, preferably at another address,
    but never after the first event of a stream was yielded. ``on_outage`` is called when the circuit of a
    working address opens; ``http`` replaces httpx's own connections.
    """

    def __init__(
        self,
        config: ServiceConfig,
        on_outage: Callable[[], None] = lambda: None,
        http: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.config = config
        self.endpoints = Endpoints(
            [
                Endpoint(url, Circuit(config.failure_threshold, config.reset_s), on_outage=on_outage)
                for url in config.urls
            ]
        )
        self.budget = RetryBudget(config.retry_ratio, config.retry_reserve)
        self._clients = {url: _client(config, http) for url in config.urls}

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            await client.aclose()

    async def get_any(self, path: str, timeout_s: float) -> dict[str, Any]:
        """Return the first JSON object that any address answers, whatever its status.

        Addresses with a closed circuit are asked first. The outcome does not affect the circuits.
        """
        fault: TechnicalError = Unreachable("no address is configured")
        for endpoint in sorted(self.endpoints, key=lambda each: each.circuit.state != "closed"):
            try:
                response = await _translated(self._clients[endpoint.url].get(endpoint.url + path), Deadline(timeout_s))
                return wire.parse_object(response.content)
            except TechnicalError as error:
                fault = error
        raise fault

    async def post(
        self, path: str, payload: Mapping[str, Any], request_id: str | None, parse: Callable[[dict[str, Any]], T]
    ) -> T:
        """Return the parsed answer; raise ``TechnicalError`` or ``LogicalError``."""
        call, attempts = _Call(path, payload, request_id), self._attempts(path)
        while True:
            endpoint, permit = attempts.next()
            traced = tracing.begin(self.config, payload, endpoint.url)
            try:
                with traced.lasting() as span:
                    async with self._open(call, endpoint, permit, attempts.deadline, span) as response:
                        body = wire.parse_object(await _translated(response.aread(), attempts.deadline))
                        result = parse(body)
                        tracing.note(traced, body)
                        return result
            except TechnicalError as fault:
                await attempts.after(fault, endpoint)

    async def post_stream(
        self, path: str, payload: Mapping[str, Any], request_id: str | None
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the events of a stream that ends with ``[DONE]``; anything else is a ``TechnicalError``."""
        call, attempts = _Call(path, payload, request_id), self._attempts(path)
        begun = False
        while True:
            endpoint, permit = attempts.next()
            traced = tracing.begin(self.config, payload, endpoint.url)
            try:
                with traced.lasting() as span:
                    async with self._open(call, endpoint, permit, attempts.deadline, span) as response:
                        parser, chunks = _event_parser(response), response.aiter_bytes()
                        while (chunk := await _translated(anext(chunks, None), attempts.deadline)) is not None:
                            for data in parser.feed(chunk):
                                if data == wire.DONE:
                                    return
                                event = wire.parse_event(data)
                                begun = True
                                # The first event proves the service healthy; other calls need not wait for the end.
                                permit.settle_trial()
                                tracing.note(traced, event)
                                yield event
                        raise HungUp("its stream was cut short")
            except TechnicalError as fault:
                if begun:
                    raise
                await attempts.after(fault, endpoint)

    def _attempts(self, path: str) -> Attempts:
        if not self.config.enabled:
            raise Disabled
        return Attempts(self.config, self.endpoints, self.budget, path)

    @asynccontextmanager
    async def _open(
        self, call: _Call, endpoint: Endpoint, permit: Permit, deadline: Deadline, span: Span
    ) -> AsyncIterator[httpx2.Response]:
        """Send a call and yield the 200 response with its body unread; always release the connection."""
        with endpoint.call(permit):
            if permit.is_trial:
                await self._check_ready(endpoint, deadline)
            client = self._clients[endpoint.url]
            headers = propagation_headers(span) | {
                "X-Request-Timeout-Ms": str(max(1, int(deadline.remaining_s * 1000)))
            }
            if call.request_id:
                headers["X-Request-ID"] = call.request_id
            request = client.build_request("POST", endpoint.url + call.path, json=dict(call.payload), headers=headers)
            response = await _translated(client.send(request, stream=True), deadline)
            try:
                if response.status_code != httpx2.codes.OK:
                    wire.raise_for_status(response, await _translated(response.aread(), deadline))
                    raise Malformed(f"the LLM service answered {response.status_code}")
                yield response
            finally:
                await response.aclose()

    async def _check_ready(self, endpoint: Endpoint, deadline: Deadline) -> None:
        """Check readiness with a short limit, so that a trial does not wait for a hanging or loading service."""
        limit = Deadline(min(self.config.probe_timeout_s, deadline.remaining_s))
        response = await _translated(self._clients[endpoint.url].get(endpoint.url + _READY), limit)
        if response.status_code == httpx2.codes.SERVICE_UNAVAILABLE:
            raise Busy("the LLM service is not ready yet", reason="loading", retry_after_s=wire.retry_after(response))


def _client(config: ServiceConfig, http: httpx2.AsyncBaseTransport | None) -> httpx2.AsyncClient:
    limit = config.timeout_s
    return httpx2.AsyncClient(
        transport=http,
        headers=[(b"Authorization", f"Bearer {config.api_key}".encode())] if config.api_key else [],
        timeout=httpx2.Timeout(
            connect=min(config.connect_timeout_s, limit),
            read=min(config.read_timeout_s or limit, limit),
            write=min(config.write_timeout_s, limit),
            pool=min(config.pool_timeout_s, limit),
        ),
        # Close idle connections before the server does, after five seconds.
        limits=httpx2.Limits(
            max_connections=config.max_connections, max_keepalive_connections=16, keepalive_expiry=4.0
        ),
    )


def _event_parser(response: httpx2.Response) -> wire.EventParser:
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        raise Malformed("the LLM service did not answer a stream")
    return wire.EventParser()


async def _translated(awaitable: Awaitable[T], deadline: Deadline) -> T:
    """Await within the deadline, translating transport errors."""
    try:
        return await deadline.within(awaitable)
    except (TimeoutError, httpx2.ReadTimeout, httpx2.WriteTimeout) as error:
        raise TimedOut from error
    except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
        raise Unreachable(str(error)) from error
    except httpx2.PoolTimeout as error:
        raise PoolExhausted from error
    except httpx2.HTTPError as error:
        raise HungUp(str(error)) from error
