"""Spans of calls to models, by OpenTelemetry's conventions for generative AI: numbers and names, no text.

https://github.com/open-telemetry/semantic-conventions-genai
"""

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.trace import Span, SpanKind
from service_kit.observability import tracing

from adapters.llm_service.config import ServiceConfig
from adapters.ports.models import LogicalError, TechnicalError

_LONGEST_NAME = 200
_OPERATIONS = {"generate": "chat", "embed": "embeddings", "rerank": "rerank"}
"""By the last part of a path."""
_REASONS = frozenset({"stop", "length", "cancelled"})


class ModelCall:
    """The span of one attempt, ``chat MODEL``, ``embeddings MODEL`` or ``rerank MODEL``: a child of the current one.

    Omits the address of the local model, which is meaningless.
    """

    def __init__(self, config: ServiceConfig, path: str, payload: Mapping[str, Any], url: str) -> None:
        is_remote, operation = config.served_by == "llm_service", _OPERATIONS[path.rpartition("/")[2]]
        models = {"chat": config.language_model, "embeddings": config.embedding_model, "rerank": config.rerank_model}
        model = models[operation]
        self.span: Span = tracing.start_span(
            f"{operation} {model}", SpanKind.CLIENT if is_remote else SpanKind.INTERNAL
        )
        self._begun = time.monotonic()
        self._has_begun_to_answer = False
        if not self.span.is_recording():
            return
        address = urlsplit(url)
        self._annotate(
            {
                "gen_ai.operation.name": operation,
                "gen_ai.provider.name": config.served_by,
                "gen_ai.request.model": model,
                "server.address": address.hostname if is_remote else None,
                "server.port": (address.port or (443 if address.scheme == "https" else 80)) if is_remote else None,
                "gen_ai.request.max_tokens": payload.get("max_new_tokens"),
                "gen_ai.request.temperature": payload.get("temperature"),
                "gen_ai.request.top_p": payload.get("top_p"),
                "gen_ai.request.stream": payload.get("stream") is True if operation == "chat" else None,
            }
        )

    def note(self, body: Mapping[str, Any]) -> None:
        """Record an answer, which ends the span, or a stream event; neither has been validated."""
        if not self.span.is_recording():
            return
        if "delta" in body:
            if not self._has_begun_to_answer:
                self._has_begun_to_answer = True
                self._annotate({"gen_ai.response.time_to_first_chunk": round(time.monotonic() - self._begun, 6)})
            return
        name = str(body.get("model"))[:_LONGEST_NAME]
        if "answer" in body:
            usage, timings, cached = _mapping(body.get("usage")), _mapping(body.get("timings")), body.get("cached")
            reason = str(body.get("finish_reason"))
            self._annotate(
                {
                    "gen_ai.response.model": name,
                    "gen_ai.response.finish_reasons": [reason if reason in _REASONS else "other"],
                    "gen_ai.usage.output_tokens": _number(body.get("tokens_generated")),
                    "gen_ai.usage.input_tokens": _number(usage.get("prompt_tokens")),
                    "app.cache": None if not isinstance(cached, bool) else "hit" if cached else "miss",
                    "app.queue_ms": _number(timings.get("queue_ms")),
                    "app.ttft_ms": _number(timings.get("ttft_ms")),
                }
            )
            tracing.end(self.span)
        elif isinstance(vectors := body.get("embeddings"), list):
            dimension = len(vectors[0]) if vectors and isinstance(vectors[0], list) else 0
            sizes = {"gen_ai.embeddings.dimension.count": dimension, "app.texts": len(vectors)}
            self._annotate({"gen_ai.response.model": name, **sizes})

    def _annotate(self, attributes: tracing.Attributes) -> None:
        tracing.annotate(self.span, attributes)


def fault_name(error: BaseException) -> str:
    """Return an error's name as in logs and metrics."""
    if isinstance(error, TechnicalError):
        return error.reason
    return error.error_type if isinstance(error, LogicalError) else type(error).__qualname__


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float | None:
    # OTLP integers are limited to 64 bits.
    return value if isinstance(value, int | float) and abs(value) < 2**53 else None
