"""Spans of calls to models, by OpenTelemetry's conventions for generative AI.

https://github.com/open-telemetry/semantic-conventions-genai
"""

import time
from contextlib import AbstractContextManager
from typing import Literal
from urllib.parse import urlsplit

from opentelemetry.trace import Span, SpanKind
from service_kit.tracing import Attributes

from adapters.base import LogicalError, SamplingOptions, TechnicalError
from service_kit import tracing

LONGEST_NAME = 200
_REASONS = frozenset({"stop", "length", "cancelled"})


class ModelCall:
    """The span of one attempt, ``chat MODEL`` or ``embeddings MODEL``: a child of the current one.

    Args:
        operation: of the model.
        model: the configured model.
        provider: of the model.
        url: the provider's address, over the network.

    """

    def __init__(
        self, operation: Literal["chat", "embeddings"], model: str, provider: str, url: str | None = None
    ) -> None:
        kind = SpanKind.INTERNAL if url is None else SpanKind.CLIENT
        self.span: Span = tracing.start_span(f"{operation} {model}", kind)
        self._begun = time.monotonic()
        self._came = False
        if self.span.is_recording():
            about = {"gen_ai.operation.name": operation, "gen_ai.provider.name": provider}
            address = {} if url is None else _address(url)
            tracing.annotate(self.span, {**about, "gen_ai.request.model": model, **address})

    def lasting(self) -> AbstractContextManager[Span]:
        """End the span with the block."""
        return tracing.ending(self.span, fault_name)

    def sampled(self, options: SamplingOptions, *, stream: bool) -> None:
        """Note the sampling parameters."""
        tracing.annotate(
            self.span,
            {
                "gen_ai.request.max_tokens": options.max_new_tokens,
                "gen_ai.request.temperature": options.temperature,
                "gen_ai.request.top_p": options.top_p,
                "gen_ai.request.stream": stream,
            },
        )

    def came(self) -> None:
        """Note a piece of a stream; the first one's time is kept."""
        if not self._came:
            self._came = True
            tracing.annotate(
                self.span, {"gen_ai.response.time_to_first_chunk": round(time.monotonic() - self._begun, 6)}
            )

    def answered(self, model: str, finish_reason: str, tokens: int, about: Attributes) -> None:
        """Note a whole answer and end the span."""
        tracing.annotate(
            self.span,
            {
                "gen_ai.response.model": model[:LONGEST_NAME],
                "gen_ai.response.finish_reasons": [finish_reason if finish_reason in _REASONS else "other"],
                "gen_ai.usage.output_tokens": tokens,
                **about,
            },
        )
        tracing.end(self.span)

    def embedded(self, model: str, dimension: int, texts: int) -> None:
        """Note vectors."""
        tracing.annotate(
            self.span,
            {
                "gen_ai.response.model": model[:LONGEST_NAME],
                "gen_ai.embeddings.dimension.count": dimension,
                "app.texts": texts,
            },
        )


def fault_name(error: BaseException) -> str:
    """Return an error's name as in logs and metrics."""
    if isinstance(error, TechnicalError):
        return error.reason
    return error.error_type if isinstance(error, LogicalError) else type(error).__qualname__


def _address(url: str) -> Attributes:
    parts = urlsplit(url)
    return {"server.address": parts.hostname, "server.port": parts.port or (443 if parts.scheme == "https" else 80)}
