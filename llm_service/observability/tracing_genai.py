"""Attributes of spans by OpenTelemetry's conventions for generative AI, and what the spans are called.

https://github.com/open-telemetry/semantic-conventions-genai
"""

import time
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

from config.settings import Settings
from engines.base import GenerationRequest, TextDelta
from observability.tracing import Attributes, current, ended
from services.errors import ServiceError
from services.llm_service import LLMService
from services.results import EmbeddingResult, GenerationItem, GenerationResult, ReasoningDelta, Started


class ChatSpan:
    """The span of one answer: ``chat MODEL``, in the trace of the request that wants it."""

    def __init__(self, request: GenerationRequest, service: LLMService, config: Settings) -> None:
        upstream = config.llm_backend == "openai"
        self.span = current().child(f"chat {service.model_name}", "client" if upstream else "internal")
        self._begun = time.monotonic()
        self._streamed = request.stream
        self._seen_text = False
        if self.span.recording:
            self.span.set(_asked(request, service))
            if upstream:
                self.span.set(_address(config.llm_upstream_url or ""))

    def noted(self, item: GenerationItem) -> None:
        """Note what the answer has come to; with its result it is over."""
        if not self.span.recording:
            return
        if isinstance(item, Started):
            self.span.set({"app.cache": item.cache, "app.ttft_ms": round(1000 * self._seconds(), 3)})
        elif isinstance(item, TextDelta | ReasoningDelta):
            if not self._seen_text:
                self._seen_text = True
                self.span.set({"gen_ai.response.time_to_first_chunk": self._seconds()})
        elif isinstance(item, GenerationResult):
            self.span.set(_answered(item))
            self.span.end()

    def _seconds(self) -> float:
        return round(time.monotonic() - self._begun, 6)


async def embedded(work: Callable[[], Coroutine[Any, Any, EmbeddingResult]], service: LLMService) -> EmbeddingResult:
    """Return the vectors that ``work`` makes, as the span ``embeddings MODEL``."""
    info = service.health().embedder_info
    with ended(current().child(f"embeddings {info.model if info else 'unknown'}"), error_type) as span:
        span.set({"gen_ai.operation.name": "embeddings"})
        if info is not None:
            span.set({"gen_ai.provider.name": info.backend, "gen_ai.request.model": info.requested_model})
        result = await work()
        if span.recording:
            span.set(
                {
                    "gen_ai.response.model": result.model,
                    "gen_ai.usage.input_tokens": sum(result.tokens),
                    "gen_ai.embeddings.dimension.count": int(result.vectors.shape[1]),
                    "app.texts": len(result.tokens),
                }
            )
        return result


def error_type(error: BaseException) -> str:
    """Return an error's name as answers and logs have it."""
    return error.type if isinstance(error, ServiceError) else type(error).__qualname__


def _asked(request: GenerationRequest, service: LLMService) -> Attributes:
    info = service.health().generator_info
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
        "gen_ai.output.type": "text" if sampling.json_schema is None else "json",
    }


def _answered(result: GenerationResult) -> Attributes:
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
