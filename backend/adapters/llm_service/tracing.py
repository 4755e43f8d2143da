"""Spans of calls to the LLM service: numbers and names of requests and answers, no text."""

from collections.abc import Mapping
from typing import Any

from adapters.base import SamplingOptions
from adapters.llm_service.config import ServiceConfig
from observability.tracing_genai import ModelCall


def begin(config: ServiceConfig, payload: Mapping[str, Any], url: str) -> ModelCall:
    """Begin the span of one attempt; omits the address of the local model, which is meaningless."""
    provider, where = config.served_by, url if config.served_by == "llm_service" else None
    if "texts" in payload:
        return ModelCall("embeddings", config.embedding_model, provider, where)
    call = ModelCall("chat", config.language_model, provider, where)
    if call.span.is_recording():
        options = SamplingOptions(payload.get("max_new_tokens"), payload.get("temperature"), payload.get("top_p"))
        call.sampled(options, stream=payload.get("stream") is True)
    return call


def note(call: ModelCall, body: Mapping[str, Any]) -> None:
    """Record an answer or a stream event, whose shape has not been validated."""
    if not call.span.is_recording():
        return
    if "delta" in body:
        call.came()
    elif "answer" in body:
        usage, timings = _mapping(body.get("usage")), _mapping(body.get("timings"))
        cached = body.get("cached")
        about = {
            "gen_ai.usage.input_tokens": _number(usage.get("prompt_tokens")),
            "app.cache": None if not isinstance(cached, bool) else "hit" if cached else "miss",
            "app.queue_ms": _number(timings.get("queue_ms")),
            "app.ttft_ms": _number(timings.get("ttft_ms")),
        }
        tokens = body.get("tokens_generated")
        call.answered(
            str(body.get("model")), str(body.get("finish_reason")), tokens if isinstance(tokens, int) else 0, about
        )
    elif isinstance(vectors := body.get("embeddings"), list):
        first = vectors[0] if vectors else []
        call.embedded(str(body.get("model")), len(first) if isinstance(first, list) else 0, len(vectors))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float | None:
    # OTLP integers are limited to 64 bits.
    return value if isinstance(value, int | float) and abs(value) < 2**53 else None
