"""The LLM service as a language model and an embedder."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

import httpx2

from adapters.llm_service import wire
from adapters.llm_service.circuit import CircuitState
from adapters.llm_service.config import ServiceConfig
from adapters.llm_service.endpoints import Endpoints
from adapters.llm_service.faults import Malformed
from adapters.llm_service.transport import ServiceTransport
from adapters.ports.models import (
    ChatMessage,
    Completion,
    Embeddings,
    InputType,
    SamplingOptions,
    TechnicalError,
    TextDelta,
)
from config.settings import Settings, secret, settings

_HEALTH_TIMEOUT_S = 3.0
_GENERATE = "/api/llm/generate"
_EMBED = "/api/llm/embed"
_RANK = "/v1/rerank"
_HEALTH = "/api/llm/health"


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
        rerank_model=source.rerank_model,
    )


class LLMServiceAdapter:
    """A ``LanguageModel`` and an ``Embedder`` behind ``/api/llm``, with one HTTP client per address.

    Args:
        config: addresses and limits; taken from the settings by default.
        on_outage: called when the circuit of a working address opens, so that a fallback can prepare.
        http: replaces httpx's own connections.

    """

    def __init__(
        self,
        config: ServiceConfig | None = None,
        *,
        on_outage: Callable[[], None] = lambda: None,
        http: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.config = config or config_from_settings(settings)
        self._transport = ServiceTransport(self.config, on_outage, http)

    @property
    def endpoints(self) -> Endpoints:
        """The addresses and their state."""
        return self._transport.endpoints

    def circuits(self) -> dict[str, CircuitState]:
        """Return the circuit state by URL without credentials."""
        return {endpoint.name: endpoint.circuit.state for endpoint in self.endpoints}

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
        """Return the service's health, or ``{"status": "unreachable", "error": …}``."""
        try:
            health = await self._transport.get_any(_HEALTH, _HEALTH_TIMEOUT_S)
        except TechnicalError as fault:
            return {"status": "unreachable", "error": str(fault)}
        if isinstance(health.get("status"), str):
            return health
        kind = wire.error_type(health)
        return {"status": "unreachable", "error": f"the service answers: {kind}" if kind else "no status in the answer"}

    async def complete(
        self, messages: Sequence[ChatMessage], options: SamplingOptions, *, request_id: str | None = None
    ) -> Completion:
        """Return the whole answer; raise ``TechnicalError`` or ``LogicalError``."""
        payload = wire.generate_payload(messages, options, stream=False)
        parse = partial(wire.parse_completion, served_by=self.config.served_by)
        return await self._transport.post(_GENERATE, payload, request_id, parse)

    async def stream(
        self, messages: Sequence[ChatMessage], options: SamplingOptions, *, request_id: str | None = None
    ) -> AsyncGenerator[TextDelta | Completion, None]:
        """Yield deltas, then one ``Completion``; closing the iterator hangs up, which stops the generation.

        Other events, such as the parts of a thought, are left out.
        """
        payload = wire.generate_payload(messages, options, stream=True)
        completion: Completion | None = None
        async with aclosing(self._transport.post_stream(_GENERATE, payload, request_id)) as events:
            async for event in events:
                if isinstance(event.get("delta"), str):
                    yield TextDelta(wire.printable(event["delta"]))
                elif "answer" in event:
                    completion = wire.parse_completion(event, self.config.served_by)
        if completion is None:
            raise Malformed("the LLM service's stream ended without an answer")
        yield completion

    async def embed_texts(
        self, texts: Sequence[str], *, input_type: InputType = "document", request_id: str | None = None
    ) -> Embeddings:
        """Return one vector a text, in order; raise ``TechnicalError`` or ``LogicalError``."""
        parse = partial(wire.parse_embeddings, count=len(texts), dimension=self.config.dimension)
        payload = {"texts": list(texts), "input_type": input_type}
        return await self._transport.post(_EMBED, payload, request_id, parse)

    async def rank_texts(self, query: str, texts: Sequence[str], *, request_id: str | None = None) -> list[float]:
        """Return one score a text, in order, of the service's cross-encoder; raise ``TechnicalError``, or
        ``LogicalError`` with status 501 where it has none.
        """
        payload = {"query": query, "documents": list(texts)}
        return await self._transport.post(_RANK, payload, request_id, partial(wire.parse_ranks, count=len(texts)))


_adapter: LLMServiceAdapter | None = None


def get_llm_service_adapter() -> LLMServiceAdapter:
    """Return the process's adapter, made from the settings on first use."""
    global _adapter  # noqa: PLW0603 - the plan names this singleton
    if _adapter is None:
        _adapter = LLMServiceAdapter()
    return _adapter
