"""Base of ``/v1/chat/completions`` and ``/v1/completions``: several choices, whole or streamed."""

import contextlib
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import orjson
from pydantic import Field

from config.settings import Settings
from engines.errors import ServiceError
from engines.requests import GenerationRequest, unique_id
from routers.choices import ChoiceItem
from routers.errors import problem_of
from routers.openai.errors import bad_parameter, openai_body
from routers.openai.fields import ModelName, OnlyNeutral
from schemas.common import WHOLE, RequestModel
from schemas.generation import GenerationFields, TokenLimit
from service_kit import sse
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
    """Raise ``Refusal`` for more answers than places, and for options of a stream without one."""
    if body.stream_options is not None and not body.stream:
        raise bad_parameter("stream_options", "only together with stream: true")
    if (body.n or 1) * prompts > config.llm_max_batch:
        raise bad_parameter("n", f"at most {config.llm_max_batch} answers in one request")


def one_each(request: GenerationRequest, count: int, request_id: str) -> list[GenerationRequest]:
    """Return one request per choice, with seeds in a row."""
    seed = request.sampling.seed
    seeds = [None if seed is None else (seed + index) % MAX_SEED for index in range(count)]
    return [replace(request, id=unique_id(request_id), sampling=replace(request.sampling, seed=each)) for each in seeds]


@dataclass(frozen=True, slots=True)
class Completion:
    """Fields that all parts of one answer share. ``kind`` is its type, ``prefix`` that of its id."""

    body: CompletionFields
    kind: str
    prefix: str
    model: str
    system_fingerprint: str | None
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    created: int = field(default_factory=lambda: int(time.time()))

    def part(self, kind: str, choices: list[Choice], **more: Any) -> dict[str, Any]:
        """Return the whole answer, or an event of a stream."""
        return {
            "id": f"{self.prefix}-{self.key}",
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.system_fingerprint,
            "choices": choices,
            **more,
        }

    def whole(
        self, results: list[GenerationResult], choice: Callable[[int, GenerationResult], Choice]
    ) -> dict[str, Any]:
        """Return the body of whole answers."""
        choices = [choice(index, result) for index, result in enumerate(results)]
        return self.part(self.kind, choices, usage=self._usage(dict(enumerate(results))))

    async def events(
        self,
        items: AsyncGenerator[ChoiceItem, None],
        *,
        kind: str,
        first: Callable[[int], Choice | None],
        piece: Callable[[int, GenerationItem], Choice | None],
    ) -> AsyncGenerator[bytes, None]:
        """Yield a streamed answer, ending with ``[DONE]`` or with an error event: of each choice ``first``, and a
        ``piece`` for each item that has one.
        """
        include_usage = bool(self.body.stream_options and self.body.stream_options.include_usage)
        # If usage is requested, all of OpenAI's chunks have the field, null in all but the last.
        tail: dict[str, Any] = {"usage": None} if include_usage else {}
        begun: set[int] = set()
        results: dict[int, GenerationResult] = {}
        async with contextlib.aclosing(items):
            try:
                async for index, item in items:
                    if isinstance(item, Started):
                        continue
                    choices = [piece(index, item)] if index in begun else [first(index), piece(index, item)]
                    begun.add(index)
                    for choice in choices:
                        if choice is not None:
                            yield _event(self.part(kind, [choice], **tail))
                    if isinstance(item, GenerationResult):
                        results[index] = item
                if include_usage:
                    yield _event(self.part(kind, [], usage=self._usage(results)))
                yield sse.DONE
            except ServiceError as error:
                yield _event(openai_body(problem_of(error)))

    def _usage(self, results: Mapping[int, GenerationResult]) -> dict[str, int]:
        """Count the tokens of every prompt, once, and of every answer."""
        each = self.body.n or 1
        prompt = sum(result.prompt_tokens for index, result in results.items() if index % each == 0)
        completion = sum(result.completion_tokens for result in results.values())
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _event(data: dict[str, Any]) -> bytes:
    return sse.event(orjson.dumps(data))
