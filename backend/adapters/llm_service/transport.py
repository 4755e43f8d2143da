"""Requests to the LLM service: deadline, then circuit breaker, then retry budget, then the attempt."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx2
from opentelemetry.trace import Span
from service_kit.observability import tracing

from adapters.llm_service import wire
from adapters.llm_service.circuit import Circuit, Permit
from adapters.llm_service.config import ServiceConfig
from adapters.llm_service.endpoints import Endpoint, Endpoints
from adapters.llm_service.faults import Malformed, PoolExhausted, ServiceFault, TimedOut
from adapters.llm_service.retries import Attempts, RetryBudget
from adapters.llm_service.tracing import ModelCall, fault_name
from adapters.ports.models import TechnicalError

T = TypeVar("T")
_READY = "/readyz"
_PROBE_S = 1.0
"""Limit of the ``/readyz`` check before the trial call of a half-open circuit."""
_Read = Callable[[httpx2.Response, float, ModelCall], AsyncGenerator[T, None]]
"""Yields the results in a response; gets the deadline and the call's span."""


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
            [Endpoint(url, Circuit(config.failure_threshold, config.reset_s), on_outage) for url in config.urls]
        )
        self._budget = RetryBudget(config.retry_ratio, config.retry_reserve)
        self._clients = {url: _client(config, http) for url in config.urls}

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            await client.aclose()

    async def get_any(self, path: str, timeout_s: float) -> dict[str, Any]:
        """Return the first JSON object that any address answers, whatever its status.

        Addresses with a closed circuit are asked first. The outcome does not affect the circuits.
        """
        fault: TechnicalError = Malformed("no address is configured")
        for endpoint in sorted(self.endpoints, key=lambda each: each.circuit.state != "closed"):
            try:
                response = await _translated(self._clients[endpoint.url].get(endpoint.url + path), _from_now(timeout_s))
                return wire.parse_object(response.content)
            except TechnicalError as error:
                fault = error
        raise fault

    async def post(
        self,
        path: str,
        payload: Mapping[str, Any],
        request_id: str | None,
        parse: Callable[[Mapping[str, Any]], T],
    ) -> T:
        """Return the parsed answer; one that ``parse`` rejects as malformed counts as a failure of the service."""

        async def read(response: httpx2.Response, deadline: float, traced: ModelCall) -> AsyncGenerator[T, None]:
            body = wire.parse_object(await _translated(response.aread(), deadline))
            result = parse(body)
            traced.note(body)
            yield result

        (answer,) = [each async for each in self._results(_Call(path, payload, request_id), read)]
        return answer

    def post_stream(
        self, path: str, payload: Mapping[str, Any], request_id: str | None
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the events of a stream that ends with ``[DONE]``; anything else is a ``TechnicalError``."""
        return self._results(_Call(path, payload, request_id), _events)

    async def _results(self, call: _Call, read: _Read[T]) -> AsyncGenerator[T, None]:
        """Yield what ``read`` finds in the first good response; retry only before the first of it."""
        if not self.config.enabled:
            raise ServiceFault("the LLM service is disabled in the configuration", reason="disabled")
        attempts, begun = Attempts(self.config.timeout_s, self.endpoints, self._budget, call.path), False
        while True:
            endpoint, permit = attempts.next()
            traced = ModelCall(self.config, call.path, call.payload, endpoint.url)
            try:
                with tracing.ending(traced.span, fault_name) as span:
                    async with (
                        self._open(call, endpoint, permit, attempts.deadline, span) as response,
                        aclosing(read(response, attempts.deadline, traced)) as results,
                    ):
                        async for result in results:
                            begun = True
                            # The first event proves the service healthy; other calls need not wait for the end.
                            permit.settle_trial()
                            yield result
                        return
            except TechnicalError as fault:
                if begun:
                    raise
                await attempts.after(fault, endpoint)

    @asynccontextmanager
    async def _open(
        self, call: _Call, endpoint: Endpoint, permit: Permit, deadline: float, span: Span
    ) -> AsyncIterator[httpx2.Response]:
        """Send a call and yield the 200 response with its body unread; always release the connection."""
        with endpoint.call(permit):
            if permit.is_trial:
                await self._check_ready(endpoint, deadline)
            client = self._clients[endpoint.url]
            remaining_s = deadline - asyncio.get_running_loop().time()
            headers = tracing.propagation_headers(span) | {"X-Request-Timeout-Ms": str(max(1, int(remaining_s * 1000)))}
            if call.request_id:
                headers["X-Request-ID"] = call.request_id
            request = client.build_request("POST", endpoint.url + call.path, json=dict(call.payload), headers=headers)
            response = await _translated(client.send(request, stream=True), deadline)
            try:
                if response.status_code != httpx2.codes.OK:
                    raise wire.error_of(response, await _translated(response.aread(), deadline))
                yield response
            finally:
                await response.aclose()

    async def _check_ready(self, endpoint: Endpoint, deadline: float) -> None:
        """Check readiness with a short limit, so that a trial does not wait for a hanging or loading service."""
        limit = min(_from_now(_PROBE_S), deadline)
        response = await _translated(self._clients[endpoint.url].get(endpoint.url + _READY), limit)
        if response.status_code == httpx2.codes.SERVICE_UNAVAILABLE:
            after_s = wire.retry_after(response)
            raise ServiceFault("the LLM service is not ready yet", reason="loading", retry_after_s=after_s)


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


async def _events(
    response: httpx2.Response, deadline: float, traced: ModelCall
) -> AsyncGenerator[dict[str, Any], None]:
    events = aiter(httpx2.EventSource(response, wire.MAX_EVENT_BYTES))
    while (found := await _translated(anext(events, None), deadline)) is not None:
        if found.data == wire.DONE:
            return
        event = wire.parse_event(found.data)
        traced.note(event)
        yield event
    raise _hung_up("its stream was cut short")


def _from_now(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


def _hung_up(detail: str) -> ServiceFault:
    return ServiceFault(f"the LLM service hung up: {detail}", reason="protocol", anywhere=True)


async def _translated(awaitable: Awaitable[T], deadline: float) -> T:
    """Await until the deadline, translating transport errors."""
    try:
        async with asyncio.timeout_at(deadline):
            return await awaitable
    except (TimeoutError, httpx2.ReadTimeout, httpx2.WriteTimeout) as error:
        raise TimedOut from error
    except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
        raise ServiceFault(f"the LLM service cannot be reached: {error}", reason="connect", anywhere=True) from error
    except httpx2.PoolTimeout as error:
        raise PoolExhausted from error
    except httpx2.SSEError as error:
        raise Malformed(f"the LLM service did not answer a stream: {error}") from error
    except httpx2.HTTPError as error:
        raise _hung_up(str(error)) from error
