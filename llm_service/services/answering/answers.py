"""Answers from the response cache, from an identical running request, or from the engine."""

import contextlib
import dataclasses
import logging
import time
from collections.abc import AsyncGenerator
from typing import Literal

from engines.base import EngineInfo
from engines.errors import GenerationFailed, ServiceError
from engines.events import Finished, FinishReason, FirstToken, TextDelta, ToolCallDelta
from engines.requests import GenerationRequest
from services.admission import Admission
from services.answering.answer_text import AnswerText
from services.answering.response_cache import ResponseCache, is_deterministic, response_key
from services.answering.single_flight import SingleFlight
from services.counts import Counts
from services.deadline import Deadline
from services.errors import DeadlineExceeded
from services.results import Clock, GenerationItem, GenerationResult, ReasoningDelta, Started
from services.structure.requests import constrained, find_fault, is_json
from workers.worker import Worker

logger = logging.getLogger(__name__)


class Answers:
    """Source of answers; deterministic ones are cached and shared, unless ``cache`` is ``None``."""

    def __init__(
        self,
        worker: Worker,
        admission: Admission,
        cache: ResponseCache | None,
        counts: Counts,
        *,
        upstream: bool = False,
    ) -> None:
        self._upstream = upstream
        self._worker = worker
        self._admission = admission
        self._cache = cache
        self._counts = counts
        self._flights: SingleFlight[GenerationItem] = SingleFlight()

    def stream(
        self, request: GenerationRequest, deadline: Deadline, *, use_cache: bool, fresh: bool
    ) -> AsyncGenerator[GenerationItem, None]:
        """Yield ``Started``, ``FirstToken``, deltas when the request wants them, the result. Raises ``ServiceError``.

        Without ``use_cache`` nothing is shared or kept; a ``fresh`` answer is computed again and kept.
        """
        request = constrained(request, upstream=self._upstream)
        generator = self._worker.info
        if self._cache is None or generator is None or not use_cache or not is_deterministic(request):
            return self._compute(request, deadline)
        key = response_key(request, generator)
        if fresh:
            return self._compute(request, deadline, key, generator)
        kept = self._cache.get(key)
        if kept is not None:
            self._counts.hits["response"] += 1
            return _replay(kept, request)
        self._counts.misses["response"] += 1
        return self._share(request, deadline, key, generator)

    async def _share(
        self, request: GenerationRequest, deadline: Deadline, key: bytes, generator: EngineInfo
    ) -> AsyncGenerator[GenerationItem, None]:
        clock = Clock()
        clock.admitted = clock.arrived
        # The flight has no deadline: each caller has its own, and the flight ends with its last caller.
        # Streamed and whole answers have separate flights, since only streaming makes the engine decode
        # token by token; they share the cache.
        with self._flights.board(
            (key, request.stream), lambda: self._compute(request, Deadline(None), key, generator)
        ) as (flight, first):
            async with contextlib.aclosing(flight.follow(deadline)) as items:
                async for item in items:
                    if isinstance(item, FirstToken):
                        clock.first_token = time.monotonic()
                    if isinstance(item, GenerationResult) and not first:
                        yield dataclasses.replace(item, timings=clock.timings(item.completion_tokens))
                    else:
                        yield item

    async def _compute(
        self,
        request: GenerationRequest,
        deadline: Deadline,
        key: bytes | None = None,
        generator: EngineInfo | None = None,
    ) -> AsyncGenerator[GenerationItem, None]:
        """Generate an answer; with a ``key``, cache it if ``generator`` is still the loaded model."""
        clock = Clock()
        try:
            async with contextlib.AsyncExitStack() as stack:
                await self._admit(stack, deadline, clock)
                events = await deadline.wait(stack.enter_async_context(self._worker.open(request)))
                started = False
                text = AnswerText(request)
                while True:
                    event = await deadline.wait(anext(events))
                    if not started:
                        started = True
                        yield Started(None if key is None else "miss")
                    if isinstance(event, FirstToken):
                        clock.first_token = time.monotonic()
                        yield event
                    for piece in text.read(event):
                        yield piece
                    if isinstance(event, Finished):
                        self._counts.prompt_tokens += event.prompt_tokens
                        self._counts.generated_tokens += event.completion_tokens
                        result = self._result(request, event, text, clock)
                        if key is not None and self._cache is not None and self._worker.info == generator:
                            self._cache.put(key, result)
                        yield result
                        return
        except ServiceError:
            raise
        except Exception as error:
            # Other requests are not affected, and a stream ends with an error event.
            logger.exception("an answer failed for an unexpected reason")
            raise GenerationFailed("the answer could not be read") from error

    async def _admit(self, stack: contextlib.AsyncExitStack, deadline: Deadline, clock: Clock) -> None:
        try:
            await deadline.wait(stack.enter_async_context(self._admission.place()))
        except DeadlineExceeded:
            self._counts.on_wait(time.monotonic() - clock.arrived)
            raise
        clock.admitted = time.monotonic()
        self._counts.on_wait(clock.admitted - clock.arrived)

    def _result(self, request: GenerationRequest, event: Finished, text: AnswerText, clock: Clock) -> GenerationResult:
        """Return the whole answer; raises ``GenerationFailed`` for one that ended and fails validation."""
        info = self._worker.info
        assert info is not None
        calls = event.tool_calls or text.calls
        if event.finish_reason == "length":
            calls = tuple(call for call in calls if is_json(call.arguments))
        ending: FinishReason | Literal["tool_calls"] = event.finish_reason
        if ending == "stop" and (fault := find_fault(request, text.answer, calls)) is not None:
            if not request.sampling.stop:
                self._counts.rejected_answers += 1
                raise GenerationFailed(f"the model's answer failed validation: {fault}")
            ending = "length"  # cut by a stop string
        elif ending == "stop" and calls:
            ending = "tool_calls"
        return GenerationResult(
            answer=text.answer,
            model=info.model,
            device=info.device,
            finish_reason=ending,
            prompt_tokens=event.prompt_tokens,
            completion_tokens=event.completion_tokens,
            timings=clock.timings(event.completion_tokens),
            reasoning=text.thought if event.reasoning is None else event.reasoning,
            tool_calls=calls,
            logprobs=event.logprobs,
            degraded=info.degraded,
        )


async def _replay(kept: GenerationResult, request: GenerationRequest) -> AsyncGenerator[GenerationItem, None]:
    clock = Clock()
    clock.admitted = clock.arrived
    yield Started("hit")
    yield FirstToken(request.id)
    if request.stream:
        if kept.reasoning:
            yield ReasoningDelta(kept.reasoning)
        if kept.answer:
            yield TextDelta(request.id, kept.answer, logprobs=kept.logprobs)
        for index, call in enumerate(kept.tool_calls):
            yield ToolCallDelta(request.id, index, call.arguments, call.id, call.name)
    # Nothing was generated for this request, so it has no token rate.
    yield dataclasses.replace(kept, timings=clock.timings(0), cached=True)
