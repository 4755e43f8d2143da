"""Base of ``/v1/chat/completions`` and ``/v1/completions``: several choices, whole or streamed."""

import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar

from pydantic import Field

from config.settings import Settings
from engines.errors import ServiceError
from engines.requests import GenerationRequest, unique_id
from routers.errors import problem_of
from routers.event_stream import json_event
from routers.openai.errors import openai_body
from routers.openai.fields import ModelName, OnlyNeutral
from routers.wire.generation_answer import usage_body
from schemas.common import WHOLE, RequestModel
from schemas.generation import GenerationFields, TokenLimit
from service_kit import sse
from services.errors import InvalidRequest
from services.llm_service import LLMService
from services.results import GenerationItem, GenerationResult, Started

MAX_SEED = 2**63
Choice = dict[str, Any]


class StreamOptions(RequestModel):
    """Additional content of a stream."""

    include_usage: bool | None = Field(default=None, description="A last chunk without choices counts the tokens")
    include_obfuscation: Annotated[Any, OnlyNeutral(False)] = None  # noqa: FBT003 - a value, not a switch


class CompletionFields(GenerationFields):
    """Fields of both. Omitted ones default to the service's settings; unsupported ones are rejected."""

    model: ModelName = Field(description="As in /v1/models, or default")
    max_tokens: TokenLimit | None = Field(default=None, description="Tokens to generate at most")
    n: Annotated[int, Field(ge=1, le=8), WHOLE] | None = Field(
        default=None, description="Answers to each prompt, side by side; LLM_MAX_BATCH bounds them too"
    )
    stream_options: StreamOptions | None = Field(default=None, description="Only together with stream")
    logit_bias: Annotated[Any, OnlyNeutral({})] = None


def check_choices(body: CompletionFields, config: Settings, prompts: int = 1) -> None:
    """Raise ``InvalidRequest`` for more answers than places, and for options of a stream without one."""
    if body.stream_options is not None and not body.stream:
        raise InvalidRequest("only together with stream: true", field="stream_options")
    if (body.n or 1) * prompts > config.llm_max_batch:
        field = "n" if body.n and body.n > 1 else "prompt"
        raise InvalidRequest(f"at most {config.llm_max_batch} answers in one request", field=field)


def one_each(request: GenerationRequest, count: int, request_id: str) -> list[GenerationRequest]:
    """Return one request per choice, with seeds in a row."""
    seed = request.sampling.seed
    seeds = [None if seed is None else (seed + index) % MAX_SEED for index in range(count)]
    return [replace(request, id=unique_id(request_id), sampling=replace(request.sampling, seed=each)) for each in seeds]


class Completion(ABC):
    """The answer to either, with the choices of a subclass.

    Attributes:
        kind: type of a whole answer.
        piece_kind: type of an event.
        prefix: of its id.

    """

    kind: ClassVar[str]
    piece_kind: ClassVar[str]
    prefix: ClassVar[str]

    def __init__(self, body: CompletionFields, service: LLMService) -> None:
        info = service.info("generator")
        self._each = body.n or 1
        self._shared = {
            "id": f"{self.prefix}-{uuid.uuid4().hex}",
            "object": self.kind,
            "created": int(time.time()),
            "model": service.model_name,
            "system_fingerprint": info.fingerprint if info else None,
        }
        self._include_usage = bool(body.stream_options and body.stream_options.include_usage)
        self._results: dict[int, GenerationResult] = {}
        self._begun: set[int] = set()

    @abstractmethod
    def whole(self, index: int, result: GenerationResult) -> Choice:
        """Return a whole choice."""

    @abstractmethod
    def first(self, index: int) -> Choice | None:
        """Return the first piece of a streamed choice."""

    @abstractmethod
    def piece(self, index: int, item: GenerationItem) -> Choice | None:
        """Return the piece of a streamed choice for an item that has one."""

    def body(self, results: Sequence[GenerationResult]) -> dict[str, Any]:
        """Return whole answers."""
        choices = [self.whole(index, result) for index, result in enumerate(results)]
        return {**self._shared, "choices": choices, "usage": self._usage(dict(enumerate(results)))}

    def events(self, index: int, item: GenerationItem) -> Iterator[bytes]:
        """Yield the pieces of a choice."""
        if isinstance(item, Started):
            return
        pieces = [self.piece(index, item)]
        if index not in self._begun:
            self._begun.add(index)
            pieces.insert(0, self.first(index))
        # If usage is requested, all of OpenAI's chunks have the field, null in all but the last.
        tail: dict[str, Any] = {"usage": None} if self._include_usage else {}
        for piece in pieces:
            if piece is not None:
                yield self._event([piece], **tail)
        if isinstance(item, GenerationResult):
            self._results[index] = item

    def end(self) -> Iterator[bytes]:
        """Yield the token counts, if wanted, and ``[DONE]``."""
        if self._include_usage:
            yield self._event([], usage=self._usage(self._results))
        yield sse.DONE

    def fail(self, error: ServiceError) -> Iterator[bytes]:
        """Yield the error."""
        yield json_event(openai_body(problem_of(error)))

    def _event(self, choices: list[Choice], **more: Any) -> bytes:
        return json_event({**self._shared, "object": self.piece_kind, "choices": choices, **more})

    def _usage(self, results: Mapping[int, GenerationResult]) -> dict[str, int]:
        """Count the tokens of every prompt, once, and of every answer."""
        prompt = sum(result.prompt_tokens for index, result in results.items() if index % self._each == 0)
        return usage_body(prompt, sum(result.completion_tokens for result in results.values()))
