"""The LLM service as a language model and an embedder."""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from adapters import llm_service_wire as wire
from adapters.base import ChatMessage, Completion, Embeddings, SamplingOptions, TechnicalError, TextDelta
from adapters.circuit import CircuitState
from adapters.llm_service_config import ServiceConfig
from adapters.llm_service_endpoints import Endpoints
from adapters.llm_service_faults import Malformed
from adapters.llm_service_transport import ServiceTransport
from config.settings import Settings, secret, settings

_HEALTH_TIMEOUT_S = 3.0
_HEALTH_MAX_AGE_S = 30.0
_GENERATE = "/api/llm/generate"
_EMBED = "/api/llm/embed"
_HEALTH = "/api/llm/health"
_FROM_GOOD_TO_BAD: tuple[CircuitState, ...] = ("closed", "half_open", "open")


def config_from_settings(source: Settings) -> ServiceConfig:
    """Return the part of the settings that concerns the LLM service."""
    return ServiceConfig(
        urls=source.llm_service_urls,
        enabled=source.llm_service_enabled,
        timeout_s=source.llm_service_timeout,
        connect_timeout_s=source.llm_service_connect_timeout,
        read_timeout_s=source.llm_service_read_timeout,
        write_timeout_s=source.llm_service_write_timeout,
        pool_timeout_s=source.llm_service_pool_timeout,
        max_connections=source.llm_service_max_connections,
        retry_ratio=source.llm_service_retry_ratio,
        failure_threshold=source.llm_service_breaker_failures,
        reset_s=source.llm_service_breaker_reset,
        api_key=secret(source.llm_service_api_key),
        dimension=source.embedding_dimension,
        language_model=source.llm_model,
        embedding_model=source.embedding_model,
    )


class LLMServiceAdapter:
    """A ``LanguageModel`` and an ``Embedder`` behind ``/api/llm``; one HTTP client an address for all its calls."""

    def __init__(self, config: ServiceConfig | None = None) -> None:
        self.config = config or config_from_settings(settings)
        self._transport = ServiceTransport(self.config)
        self._degraded = False
        self._health_at = float("-inf")

    @property
    def endpoints(self) -> Endpoints:
        """The addresses, and how each one does."""
        return self._transport.endpoints

    def circuits(self) -> dict[str, CircuitState]:
        """Return how the circuit of each address is, by its URL without credentials; of two of one name, the worse."""
        worst: dict[str, CircuitState] = {}
        for endpoint in self.endpoints:
            state, before = endpoint.circuit.state, worst.get(endpoint.name, "closed")
            worst[endpoint.name] = max(state, before, key=_FROM_GOOD_TO_BAD.index)
        return worst

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def generate(
        self,
        messages: Sequence[ChatMessage],
        max_new_tokens: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
    ) -> str:
        """Return the answer's text; raise ``TechnicalError`` or ``LogicalError``."""
        return (await self.complete(messages, SamplingOptions(max_new_tokens, temperature, top_p))).answer

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one vector a text; raise ``TechnicalError`` or ``LogicalError``."""
        return (await self.embed_texts(texts)).vectors

    async def health_check(self) -> dict[str, Any]:
        """Return what the service says of itself; ``{"status": "unreachable", "error": …}`` when it says nothing."""
        try:
            health = await self._transport.get_any(_HEALTH, _HEALTH_TIMEOUT_S)
        except TechnicalError as fault:
            return {"status": "unreachable", "error": str(fault)}
        if not isinstance(health.get("status"), str):
            return {"status": "unreachable", "error": "the answer has no status"}
        self._degraded = health.get("degraded") is True
        return health

    async def complete(
        self, messages: Sequence[ChatMessage], options: SamplingOptions, *, request_id: str | None = None
    ) -> Completion:
        """Return the whole answer; raise ``TechnicalError`` or ``LogicalError``."""
        payload = wire.generate_payload(messages, options, stream=False)
        completion = await self._transport.post(_GENERATE, payload, request_id, wire.parse_completion)
        return await self._with_degradation(completion)

    async def stream(
        self, messages: Sequence[ChatMessage], options: SamplingOptions, *, request_id: str | None = None
    ) -> AsyncGenerator[TextDelta | Completion, None]:
        """Yield deltas, then one ``Completion``; closing the iterator hangs up, which stops the generation."""
        payload = wire.generate_payload(messages, options, stream=True)
        completion: Completion | None = None
        async with aclosing(self._transport.post_stream(_GENERATE, payload, request_id)) as events:
            async for event in events:
                if isinstance(event.get("delta"), str):
                    yield TextDelta(wire.printable(event["delta"]))
                else:
                    completion = wire.parse_completion(event)
        if completion is None:
            raise Malformed("the LLM service's stream ended without an answer")
        yield await self._with_degradation(completion)

    async def embed_texts(self, texts: Sequence[str], *, request_id: str | None = None) -> Embeddings:
        """Return one vector a text, in order; raise ``TechnicalError`` or ``LogicalError``."""

        def parse(body: dict[str, Any]) -> Embeddings:
            return wire.parse_embeddings(body, count=len(texts), dimension=self.config.dimension)

        return await self._transport.post(_EMBED, {"texts": list(texts)}, request_id, parse)

    async def _with_degradation(self, completion: Completion) -> Completion:
        """Add whether the service runs another model than the configured one, which its health says."""
        if time.monotonic() - self._health_at > _HEALTH_MAX_AGE_S:
            self._health_at = time.monotonic()
            await self.health_check()
        return replace(completion, degraded=completion.degraded or self._degraded)


_adapter: LLMServiceAdapter | None = None


def get_llm_service_adapter() -> LLMServiceAdapter:
    """Return the process's adapter, made from the settings on first use."""
    global _adapter  # noqa: PLW0603 - the plan names this singleton
    if _adapter is None:
        _adapter = LLMServiceAdapter()
    return _adapter
