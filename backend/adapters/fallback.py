"""Fallback chain of providers, tried in order after technical failures."""

import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol, TypeVar

from adapters.ports.models import (
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
T = TypeVar("T")
Part = TextDelta | Completion


class Provider(LanguageModel, Embedder, Protocol):
    """A language model and an embedder."""


class FallbackChain:
    """A ``LanguageModel`` and an ``Embedder`` over providers, best first.

    Falls back after a ``TechnicalError`` only. Not after a ``LogicalError``, which every provider would
    raise, nor after ``RateLimited`` or cancellation. After the first delta of a stream a failure is raised
    instead: the parts of two answers cannot be joined.

    Args:
        providers: by their names in logs and metrics, in order of preference.
        metrics: counts answers and fallbacks.

    """

    def __init__(self, providers: Mapping[str, Provider], metrics: Metrics | None = None) -> None:
        self._providers = tuple(providers.items())
        self._fingerprint: str | None = None
        self._metrics = metrics or Metrics()

    def note_fingerprint(self, fingerprint: str | None) -> None:
        """Set the fingerprint of the stored vectors, before the first provider has embedded anything."""
        self._fingerprint = fingerprint or self._fingerprint

    async def complete(
        self, messages: Sequence[ChatMessage], options: SamplingOptions, *, request_id: str | None = None
    ) -> Completion:
        """Return the first provider's answer; raise ``LogicalError``, or the last ``TechnicalError``."""

        async def ask(rank: int, provider: Provider) -> Completion:
            started = time.monotonic()
            completion = await provider.complete(messages, options, request_id=request_id)
            return self._counted(completion, rank, started)

        return await self._first(ask, request_id)

    async def stream(
        self, messages: Sequence[ChatMessage], options: SamplingOptions, *, request_id: str | None = None
    ) -> AsyncGenerator[TextDelta | Completion, None]:
        """Yield one provider's answer; falls back only before its first delta."""

        async def begin(rank: int, provider: Provider) -> tuple[int, float, AsyncIterator[Part], Part]:
            started, parts = time.monotonic(), provider.stream(messages, options, request_id=request_id)
            return rank, started, parts, await anext(parts)

        rank, started, parts, first = await self._first(begin, request_id)
        async with aclosing(parts):  # type: ignore[type-var]
            part: Part | None = first
            while part is not None:
                yield part if isinstance(part, TextDelta) else self._counted(part, rank, started)
                part = await anext(parts, None)

    async def embed_texts(
        self, texts: Sequence[str], *, input_type: InputType = "document", request_id: str | None = None
    ) -> Embeddings:
        """Return vectors comparable with the stored ones; raise ``LogicalError`` or ``TechnicalError``."""

        async def ask(rank: int, provider: Provider) -> Embeddings:
            if rank > 0:
                await self._check_fingerprint(provider)
            result = await provider.embed_texts(texts, input_type=input_type, request_id=request_id)
            if rank > 0 and result.fingerprint != self._fingerprint:
                raise _incomparable()
            self._fingerprint = result.fingerprint
            return result

        return await self._first(ask, request_id)

    async def _first(self, ask: Callable[[int, Provider], Awaitable[T]], request_id: str | None) -> T:
        """Return the result of the first provider that can answer."""
        for rank, (name, provider) in enumerate(self._providers):
            try:
                return await ask(rank, provider)
            except RateLimited:
                raise
            except TechnicalError as error:
                about = {"provider": name, "reason": error.reason, "detail": str(error)}
                logger.warning("provider failed", extra={**about, "request_id": request_id})
                if rank == len(self._providers) - 1:
                    raise
                self._metrics.fell_back(error.reason)
        raise AssertionError("a chain has a provider")

    async def _check_fingerprint(self, provider: Provider) -> None:
        """Raise ``TechnicalError`` before an unusable model is loaded."""
        if self._fingerprint is None:
            raise _incomparable()
        if isinstance(provider, KnowsFingerprint) and await provider.read_fingerprint() != self._fingerprint:
            raise _incomparable()

    def _counted(self, completion: Completion, rank: int, started: float) -> Completion:
        self._metrics.model_answered(completion.served_by, time.monotonic() - started)
        return replace(completion, degraded=completion.degraded or rank > 0)


def _incomparable() -> TechnicalError:
    return TechnicalError("its vectors do not compare with those in use", reason="local_unavailable")
