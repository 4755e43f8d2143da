"""Spans of answers and embeddings, by OpenTelemetry's conventions for generative AI.

https://github.com/open-telemetry/semantic-conventions-genai
"""

from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.trace import Span, SpanKind
from service_kit.observability import tracing
from service_kit.observability.tracing import Attributes

from config.settings import Settings
from engines.errors import ServiceError
from engines.requests import GenerationRequest
from services.llm_service import LLMService
from services.results import EmbeddingResult, GenerationResult


def chat_span(request: GenerationRequest, service: LLMService, config: Settings) -> Span:
    """Start the span of one answer, ``chat MODEL``: a child of its request's span."""
    upstream = config.llm_backend == "openai"
    span = tracing.start_span(f"chat {service.model_name}", SpanKind.CLIENT if upstream else SpanKind.INTERNAL)
    if span.is_recording():
        tracing.annotate(span, _asked(request, service))
    if upstream:
        tracing.annotate(span, _address(config.llm_upstream_url or ""))
    return span


async def embedded(work: Callable[[], Coroutine[Any, Any, EmbeddingResult]], service: LLMService) -> EmbeddingResult:
    """Run ``work`` inside the span ``embeddings MODEL``; return its vectors."""
    info = service.info("embedder")
    span = tracing.start_span(f"embeddings {info.model if info else 'unknown'}")
    with tracing.ending(span, error_type):
        tracing.annotate(span, {"gen_ai.operation.name": "embeddings"})
        if info is not None:
            tracing.annotate(span, {"gen_ai.provider.name": info.backend, "gen_ai.request.model": info.requested_model})
        result = await work()
        if span.is_recording():
            tracing.annotate(
                span,
                {
                    "gen_ai.response.model": result.model,
                    "gen_ai.usage.input_tokens": sum(result.tokens),
                    "gen_ai.embeddings.dimension.count": int(result.vectors.shape[1]),
                    "app.texts": len(result.tokens),
                },
            )
        return result


def error_type(error: BaseException) -> str:
    """Return an error's type as used in responses and logs."""
    return error.type if isinstance(error, ServiceError) else type(error).__qualname__


def _asked(request: GenerationRequest, service: LLMService) -> Attributes:
    info = service.info("generator")
    sampling = request.sampling
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": info.backend if info else "unknown",
        "gen_ai.request.model": info.requested_model if info else service.model_name,
        "gen_ai.request.max_tokens": sampling.max_new_tokens,
        "gen_ai.request.temperature": sampling.temperature,
        "gen_ai.request.top_p": sampling.top_p,
        "gen_ai.request.seed": sampling.seed,
        "gen_ai.request.stream": request.stream,
        "gen_ai.output.type": "json" if request.output is not None and request.output.kind == "json" else "text",
    }


def answered(result: GenerationResult) -> Attributes:
    """Return the attributes of a span for an answer."""
    return {
        "gen_ai.response.model": result.model,
        "gen_ai.response.finish_reasons": [result.finish_reason],
        "gen_ai.usage.input_tokens": result.prompt_tokens,
        "gen_ai.usage.output_tokens": result.completion_tokens,
        "app.queue_ms": result.timings.queue_ms,
    }


def _address(url: str) -> Attributes:
    parts = urlsplit(url)
    return {"server.address": parts.hostname, "server.port": parts.port or (443 if parts.scheme == "https" else 80)}
