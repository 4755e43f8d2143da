"""Providers tried in order: the next one answers only when the one before technically cannot."""

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
    KnowsFingerprint,
    LanguageModel,
    RateLimited,
    SamplingOptions,
    TechnicalError,
    TextDelta,
)
from observability.events import FellBack, ModelAnswered, Observe, unobserved

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Provider:
    """Somebody who may answer; ``name`` is for logs and metrics."""

    name: str
    language_model: LanguageModel
    embedder: Embedder


class FallbackChain:
    """A ``LanguageModel`` and an ``Embedder`` over providers, best first.

    Moves on after a ``TechnicalError`` only: a ``LogicalError`` would be the same everywhere, a
    ``RateLimited`` caller has asked too much already, and a cancelled one wants nothing any more. Once a
    delta was handed out the answer is that provider's: its failure is the caller's to see, since two
    halves of two answers make none. ``observe`` is told of answers, and of every step to the next provider.
    """

    def __init__(
        self,
        providers: Sequence[Provider],
        stored_fingerprint: str | None = None,
        observe: Observe = unobserved,
    ) -> None:
        if not providers:
            raise ValueError("a chain needs a provider")
        self._providers = tuple(providers)
        self._fingerprint = stored_fingerprint
        self._observe = observe

    def note_fingerprint(self, fingerprint: str | None) -> None:
        """Tell which vectors are in use: those that are stored, before the first provider has made any."""
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
            self._observe(ModelAnswered(provider.name, time.monotonic() - started))
            return _ranked(completion, rank)
        raise self._nobody(fault)

    async def stream(
        self, messages: Sequence[ChatMessage], options: SamplingOptions, *, request_id: str | None = None
    ) -> AsyncGenerator[TextDelta | Completion, None]:
        """Yield one provider's answer; moves on only before its first delta."""
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
                        self._observe(ModelAnswered(provider.name, time.monotonic() - started))
                        yield _ranked(part, rank)
            except RateLimited:
                raise
            except TechnicalError as error:
                if begun:
                    raise
                fault = self._moving_on(provider, error, request_id)
                continue
            return
        raise self._nobody(fault)

    async def embed_texts(self, texts: Sequence[str], *, request_id: str | None = None) -> Embeddings:
        """Return vectors that compare with those in use; raise ``LogicalError`` or ``TechnicalError``."""
        fault: TechnicalError | None = None
        for rank, provider in enumerate(self._providers):
            try:
                if rank > 0:
                    await self._check_fingerprint(provider)
                result = await provider.embedder.embed_texts(texts, request_id=request_id)
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
        raise self._nobody(fault)

    async def _check_fingerprint(self, provider: Provider) -> None:
        """Find out before a model is loaded in vain."""
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
            self._observe(FellBack(error.reason))
        return error

    def _nobody(self, fault: TechnicalError | None) -> TechnicalError:
        return fault or TechnicalError("nobody can answer", reason="local_unavailable")


def _ranked(completion: Completion, rank: int) -> Completion:
    return replace(completion, degraded=completion.degraded or rank > 0)


def _incomparable(provider: Provider) -> TechnicalError:
    return TechnicalError(f"vectors of {provider.name} do not compare with those in use", reason="local_unavailable")
