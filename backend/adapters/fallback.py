"""Fallback chain of providers, tried in order after technical failures."""

import logging
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from adapters.base import (
    ChatMessage,
    Completion,
    Embedder,
    Embeddings,
    InputType,
    KnowsFingerprint,
    LanguageModel,
    RateLimited,
    SamplingOptions,
    TechnicalError,
    TextDelta,
)
from observability.metrics import Metrics

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider of the chain; ``name`` is for logs and metrics."""

    name: str
    language_model: LanguageModel
    embedder: Embedder


class FallbackChain:
    """A ``LanguageModel`` and an ``Embedder`` over providers, best first.

    Falls back after a ``TechnicalError`` only. Not after a ``LogicalError``, which every provider would
    raise, nor after ``RateLimited`` or cancellation. After the first delta of a stream a failure is raised
    instead: the parts of two answers cannot be joined.

    Args:
        providers: in order of preference.
        stored_fingerprint: fingerprint of the vectors in the store, if known.
        metrics: counts answers and fallbacks.

    """

    def __init__(
        self,
        providers: Sequence[Provider],
        stored_fingerprint: str | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        if not providers:
            raise ValueError("a chain needs a provider")
        self._providers = tuple(providers)
        self._fingerprint = stored_fingerprint
        self._metrics = metrics or Metrics()

    def note_fingerprint(self, fingerprint: str | None) -> None:
        """Set the fingerprint of the stored vectors, before the first provider has embedded anything."""
        self._fingerprint = fingerprint or self._fingerprint

    async def complete(
        self, messages: Sequence[ChatMessage], options: SamplingOptions, *, request_id: str | None = None
    ) -> Completion:
        """Return the first provider's answer; raise ``LogicalError``, or the last ``TechnicalError``."""
        fault: TechnicalError | None = None
        for rank, provider in enumerate(self._providers):
            started = time.monotonic()
            try:
                completion = await provider.language_model.complete(messages, options, request_id=request_id)
            except RateLimited:
                raise
            except TechnicalError as error:
                fault = self._moving_on(provider, error, request_id)
                continue
            self._metrics.model_answered(provider.name, time.monotonic() - started)
            return _ranked(completion, rank)
        raise self._exhausted(fault)

    async def stream(
        self, messages: Sequence[ChatMessage], options: SamplingOptions, *, request_id: str | None = None
    ) -> AsyncGenerator[TextDelta | Completion, None]:
        """Yield one provider's answer; falls back only before its first delta."""
        fault: TechnicalError | None = None
        for rank, provider in enumerate(self._providers):
            begun, started = False, time.monotonic()
            try:
                parts = provider.language_model.stream(messages, options, request_id=request_id)
                async with aclosing(parts) as answer:  # type: ignore[type-var]
                    async for part in answer:
                        begun = True
                        if isinstance(part, TextDelta):
                            yield part
                            continue
                        self._metrics.model_answered(provider.name, time.monotonic() - started)
                        yield _ranked(part, rank)
            except RateLimited:
                raise
            except TechnicalError as error:
                if begun:
                    raise
                fault = self._moving_on(provider, error, request_id)
                continue
            return
        raise self._exhausted(fault)

    async def embed_texts(
        self, texts: Sequence[str], *, input_type: InputType = "document", request_id: str | None = None
    ) -> Embeddings:
        """Return vectors comparable with the stored ones; raise ``LogicalError`` or ``TechnicalError``."""
        fault: TechnicalError | None = None
        for rank, provider in enumerate(self._providers):
            try:
                if rank > 0:
                    await self._check_fingerprint(provider)
                result = await provider.embedder.embed_texts(texts, input_type=input_type, request_id=request_id)
                if rank > 0 and result.fingerprint != self._fingerprint:
                    raise _incomparable(provider)
            except RateLimited:
                raise
            except TechnicalError as error:
                fault = self._moving_on(provider, error, request_id)
                continue
            if rank == 0:
                self._fingerprint = result.fingerprint
            return result
        raise self._exhausted(fault)

    async def _check_fingerprint(self, provider: Provider) -> None:
        """Raise ``TechnicalError`` before an unusable model is loaded."""
        if self._fingerprint is None:
            raise _incomparable(provider)
        if isinstance(provider.embedder, KnowsFingerprint):
            fingerprint = await provider.embedder.tell_fingerprint()
            if fingerprint != self._fingerprint:
                raise _incomparable(provider)

    def _moving_on(self, provider: Provider, error: TechnicalError, request_id: str | None) -> TechnicalError:
        logger.warning(
            "provider failed",
            extra={"provider": provider.name, "reason": error.reason, "detail": str(error), "request_id": request_id},
        )
        if provider is not self._providers[-1]:
            self._metrics.fell_back(error.reason)
        return error

    def _exhausted(self, fault: TechnicalError | None) -> TechnicalError:
        return fault or TechnicalError("no provider can answer", reason="local_unavailable")


def _ranked(completion: Completion, rank: int) -> Completion:
    return replace(completion, degraded=completion.degraded or rank > 0)


def _incomparable(provider: Provider) -> TechnicalError:
    return TechnicalError(f"vectors of {provider.name} do not compare with those in use", reason="local_unavailable")
