"""Translation between OpenAI's completions and the service's types."""

import contextlib
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from config.settings import Settings
from engines.base import GenerationRequest, TextDelta
from engines.request_ids import unique_id
from routers.choices import ChoiceItem
from routers.errors import problem_of
from routers.generation_wire import to_generation_request
from routers.openai.completions.schemas import CompletionRequest
from routers.openai.errors import bad_parameter, openai_body
from routers.openai.turns import WrittenTurn
from service_kit import sse
from services.errors import ServiceError
from services.results import GenerationResult, Started

MAX_SEED = 2**63


def to_generation_requests(body: CompletionRequest, config: Settings, request_id: str) -> list[GenerationRequest]:
    """Return one request per choice, those of the first prompt first. Raises ``Refusal`` and ``InvalidRequest``."""
    if body.stream_options is not None and not body.stream:
        raise bad_parameter("stream_options", "only together with stream: true")
    count = body.n or 1
    if count * len(body.prompt) > config.llm_max_batch:
        raise bad_parameter("n", f"at most {config.llm_max_batch} answers in one request")
    requests = []
    for prompt in body.prompt:
        asked = to_generation_request(body, [WrittenTurn("user", prompt)], config, request_id, body.max_tokens)
        for index in range(count):
            seed = None if body.seed is None else (body.seed + index) % MAX_SEED
            sampling = replace(asked.sampling, seed=seed)
            requests.append(
                replace(asked, id=unique_id(request_id), sampling=sampling, raw=True, enable_thinking=False)
            )
    return requests


@dataclass(frozen=True, slots=True)
class Completion:
    """Fields shared by all parts of one answer."""

    body: CompletionRequest
    model: str
    system_fingerprint: str | None
    id: str = field(default_factory=lambda: f"cmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def piece(self, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        """Return an event, or the whole answer."""
        return {
            "id": self.id,
            "object": "text_completion",
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.system_fingerprint,
            "choices": choices,
            **more,
        }

    def whole(self, results: list[GenerationResult]) -> dict[str, Any]:
        """Return the response body of complete answers."""
        choices = [
            choice(index, self.before(index) + result.answer, result.finish_reason)
            for index, result in enumerate(results)
        ]
        return self.piece(choices, usage=self.usage(results))

    def before(self, index: int) -> str:
        """Return the text before an answer: its prompt with ``echo``, or nothing."""
        return self.body.prompt[index // (self.body.n or 1)] if self.body.echo else ""

    def usage(self, results: Sequence[GenerationResult]) -> dict[str, int]:
        """Count the tokens of every prompt, once, and of every answer."""
        prompt = sum(result.prompt_tokens for result in results[:: self.body.n or 1])
        completion = sum(result.completion_tokens for result in results)
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def choice(index: int, text: str, reason: str | None = None) -> dict[str, Any]:
    """Return an answer, or a piece of it."""
    return {"index": index, "text": text, "logprobs": None, "finish_reason": reason}


async def events(completion: Completion, items: AsyncGenerator[ChoiceItem, None]) -> AsyncGenerator[bytes, None]:
    """Yield a streamed answer, ending with ``[DONE]`` or with an error event."""
    include_usage = bool(completion.body.stream_options and completion.body.stream_options.include_usage)
    tail: dict[str, Any] = {"usage": None} if include_usage else {}
    begun: set[int] = set()
    results: dict[int, GenerationResult] = {}
    async with contextlib.aclosing(items):
        try:
            async for index, item in items:
                if isinstance(item, Started):
                    continue
                if index not in begun:
                    begun.add(index)
                    if before := completion.before(index):
                        yield _event(completion.piece([choice(index, before)], **tail))
                if isinstance(item, TextDelta):
                    yield _event(completion.piece([choice(index, item.text)], **tail))
                elif isinstance(item, GenerationResult):
                    results[index] = item
                    yield _event(completion.piece([choice(index, "", item.finish_reason)], **tail))
            if include_usage:
                counted = completion.usage([results[index] for index in sorted(results)])
                yield _event(completion.piece([], usage=counted))
            yield sse.DONE
        except ServiceError as error:
            yield _event(openai_body(problem_of(error)))


def _event(data: dict[str, Any]) -> bytes:
    return sse.event(orjson.dumps(data))
