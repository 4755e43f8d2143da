"""Record of a request, the source of its access line, metrics and span."""

import contextlib
import dataclasses
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Literal

from service_kit.observability import records, tracing

from config.settings import Settings
from engines.errors import ServiceError
from engines.events import FirstToken
from engines.requests import GenerationRequest
from observability.tracing_genai import answered, chat_span, error_type
from services.llm_service import LLMService
from services.results import EncoderResult, GenerationItem, GenerationResult, Started


@dataclass(slots=True)
class RequestRecord(records.RequestRecord):
    """Filled while the request is answered. Times are in seconds since its arrival; ``gaps`` are the times between
    streamed pieces.
    """

    queue_s: float | None = None
    first_token_s: float | None = None
    first_piece_s: float | None = None
    gaps: list[float] = field(default_factory=list)
    tokens_in: int | None = None
    tokens_out: int | None = None
    texts: int | None = None
    model: str | None = None
    cache: Literal["hit", "miss"] | None = None

    @property
    def ttft_s(self) -> float | None:
        """Time to the first text sent for streams, to the first token for others."""
        return self.first_token_s if self.first_piece_s is None else self.first_piece_s

    def facts(self) -> dict[str, str | bool | int | float | None]:
        """Return the fields of the access line and the span."""
        return {
            "queue_ms": _ms(self.queue_s),
            "ttft_ms": _ms(self.ttft_s),
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "texts": self.texts,
            "model": self.model,
            "cache": self.cache,
        }

    def read(self, result: EncoderResult) -> None:
        """Record what an encoder read."""
        self.model, self.tokens_in, self.texts = result.model, sum(result.tokens), len(result.tokens)

    def answered(self, result: GenerationResult) -> None:
        """Record an answer; a request with several choices has one prompt and several answers."""
        self.model, self.tokens_in = result.model, result.prompt_tokens
        self.tokens_out = (self.tokens_out or 0) + result.completion_tokens
        self.queue_s = max(self.queue_s or 0.0, result.timings.queue_ms / 1000)
        self.first_token()  # of an answer without text

    def first_token(self) -> None:
        """Record the time of the first token; later calls have no effect."""
        if self.first_token_s is None:
            self.first_token_s = time.monotonic() - self.arrived


Ask = Callable[[GenerationRequest], AsyncGenerator[GenerationItem, None]]


async def followed(
    ask: Ask, request: GenerationRequest, record: RequestRecord, service: LLMService, config: Settings
) -> AsyncGenerator[GenerationItem, None]:
    """Yield the items of an answer, recording them on the record and on a span.

    A piece is timed when the caller requests the next one, so gaps are measured as seen by the caller.
    """
    begun, last_piece = time.monotonic(), 0.0
    span = chat_span(request, service, config)
    items = ask(dataclasses.replace(request, trace_headers=tracing.propagation_headers(span)))
    with tracing.ending(span, error_type):
        async with contextlib.aclosing(items):
            try:
                async for item in items:
                    now = time.monotonic()
                    if isinstance(item, Started):
                        record.cache = item.cache
                        tracing.annotate(span, {"app.cache": item.cache})
                    elif isinstance(item, FirstToken):
                        record.first_token()
                        tracing.annotate(span, {"app.ttft_ms": round(1000 * (now - begun), 3)})
                    elif isinstance(item, GenerationResult):
                        record.answered(item)
                        tracing.annotate(span, answered(item))
                        tracing.end(span)
                    elif last_piece:
                        record.gaps.append(now - last_piece)
                        last_piece = now
                    else:
                        tracing.annotate(span, {"gen_ai.response.time_to_first_chunk": round(now - begun, 6)})
                        record.first_piece_s = record.first_piece_s or now - record.arrived
                        last_piece = now
                    yield item
            except ServiceError as error:
                record.error = error.type
                raise


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 1)
