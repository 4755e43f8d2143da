"""What is known of one HTTP request when it is over: for its line in the log and for the metrics."""

import contextlib
import dataclasses
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Literal

from config.settings import Settings
from engines.base import GenerationRequest, TextDelta
from observability.tracing import ended
from observability.tracing_genai import ChatSpan, error_type
from services.errors import ServiceError
from services.llm_service import LLMService
from services.results import EmbeddingResult, GenerationItem, GenerationResult, ReasoningDelta, Started


@dataclass(slots=True)
class RequestRecord:
    """Filled while the request is answered. Times in seconds from its arrival; ``gaps`` are those between
    the pieces of its streams.
    """

    arrived: float = field(default_factory=time.monotonic)
    queue_s: float | None = None
    first_token_s: float | None = None
    first_piece_s: float | None = None
    gaps: list[float] = field(default_factory=list)
    tokens_in: int | None = None
    tokens_out: int | None = None
    texts: int | None = None
    model: str | None = None
    cache: Literal["hit", "miss"] | None = None
    error: str | None = None

    @property
    def ttft_s(self) -> float | None:
        """When the caller had something to read: a stream's first text; else, the first token was there."""
        return self.first_token_s if self.first_piece_s is None else self.first_piece_s

    def embedded(self, result: EmbeddingResult) -> None:
        """Note the vectors that answer the request."""
        self.model, self.tokens_in, self.texts = result.model, sum(result.tokens), len(result.tokens)

    def answered(self, result: GenerationResult) -> None:
        """Note an answer; a request may want several, to one prompt."""
        self.model, self.tokens_in = result.model, result.prompt_tokens
        self.tokens_out = (self.tokens_out or 0) + result.completion_tokens
        self.queue_s = max(self.queue_s or 0.0, result.timings.queue_ms / 1000)

    def started(self, item: Started) -> None:
        """Note that the first token is there."""
        self.cache = item.cache
        if self.first_token_s is None:
            self.first_token_s = time.monotonic() - self.arrived


Ask = Callable[[GenerationRequest], AsyncGenerator[GenerationItem, None]]


async def followed(
    ask: Ask, request: GenerationRequest, record: RequestRecord, service: LLMService, config: Settings
) -> AsyncGenerator[GenerationItem, None]:
    """Ask ``service`` and yield what the answer yields, noted in the record and as a span. What is asked for
    when the caller has taken the last piece is timed as the caller sees it.
    """
    last_piece: float | None = None
    chat = ChatSpan(request, service, config)
    items = ask(dataclasses.replace(request, trace_headers=chat.span.headers()))
    with ended(chat.span, error_type):
        async with contextlib.aclosing(items):
            try:
                async for item in items:
                    chat.noted(item)
                    if isinstance(item, TextDelta | ReasoningDelta):
                        now = time.monotonic()
                        if last_piece is not None:
                            record.gaps.append(now - last_piece)
                        elif record.first_piece_s is None:
                            record.first_piece_s = now - record.arrived
                        last_piece = now
                    elif isinstance(item, GenerationResult):
                        record.answered(item)
                    else:
                        record.started(item)
                    yield item
            except ServiceError as error:
                record.error = error.type
                raise
