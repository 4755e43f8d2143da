"""Spans of calls to models, by OpenTelemetry's conventions for generative AI.

https://github.com/open-telemetry/semantic-conventions-genai
"""

import time
from contextlib import AbstractContextManager
from typing import Literal
from urllib.parse import urlsplit

from adapters.base import LogicalError, SamplingOptions, TechnicalError
from observability.tracing import Attributes, Span, current, ended

LONGEST_NAME = 200
_REASONS = frozenset({"stop", "length", "cancelled"})


class ModelCall:
    """One try of a call: the span ``chat MODEL`` or ``embeddings MODEL``, a child of the current one.

    Args:
        operation: what is asked for.
        model: the configured model.
        provider: who is asked.
        url: where, when that is over the network.

    """

    def __init__(
        self, operation: Literal["chat", "embeddings"], model: str, provider: str, url: str | None = None
    ) -> None:
        self.span: Span = current().child(f"{operation} {model}", "internal" if url is None else "client")
        self._begun = time.monotonic()
        self._came = False
        if self.span.recording:
            self.span.set({"gen_ai.operation.name": operation, "gen_ai.provider.name": provider})
            self.span.set({"gen_ai.request.model": model, **({} if url is None else _address(url))})

    def lasting(self) -> AbstractContextManager[Span]:
        """End the span with the block."""
        return ended(self.span, fault_name)

    def sampled(self, options: SamplingOptions, *, stream: bool) -> None:
        """Note how the answer is to be made."""
        self.span.set(
            {
                "gen_ai.request.max_tokens": options.max_new_tokens,
                "gen_ai.request.temperature": options.temperature,
                "gen_ai.request.top_p": options.top_p,
                "gen_ai.request.stream": stream,
            }
        )

    def came(self) -> None:
        """Note that a piece of a stream has come; only the first one's time counts."""
        if not self._came:
            self._came = True
            self.span.set({"gen_ai.response.time_to_first_chunk": round(time.monotonic() - self._begun, 6)})

    def answered(self, model: str, finish_reason: str, tokens: int, about: Attributes) -> None:
        """Note a whole answer; a caller who leaves now has it."""
        self.span.set(
            {
                "gen_ai.response.model": model[:LONGEST_NAME],
                "gen_ai.response.finish_reasons": [finish_reason if finish_reason in _REASONS else "other"],
                "gen_ai.usage.output_tokens": tokens,
                **about,
            }
        )
        self.span.end()

    def embedded(self, model: str, dimension: int, texts: int) -> None:
        """Note vectors."""
        self.span.set(
            {
                "gen_ai.response.model": model[:LONGEST_NAME],
                "gen_ai.embeddings.dimension.count": dimension,
                "app.texts": texts,
            }
        )


def fault_name(error: BaseException) -> str:
    """Return an error's name as logs and metrics have it."""
    if isinstance(error, TechnicalError):
        return error.reason
    return error.error_type if isinstance(error, LogicalError) else type(error).__qualname__


def _address(url: str) -> Attributes:
    parts = urlsplit(url)
    return {"server.address": parts.hostname, "server.port": parts.port or (443 if parts.scheme == "https" else 80)}
