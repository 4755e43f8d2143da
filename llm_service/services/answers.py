"""Where an answer comes from: the cache, another caller's request under way, or the engine."""

import contextlib
import dataclasses
import time
from collections.abc import AsyncGenerator

from engines.base import EngineInfo, GenerationRequest, TextDelta
from services.deadline import Deadline
from services.events import CacheAsked, Events
from services.generation import Generation
from services.response_cache import ResponseCache, is_deterministic, response_key
from services.results import Clock, GenerationItem, GenerationResult, ReasoningDelta, Started
from services.single_flight import SingleFlight


class Answers:
    """Computes no deterministic answer twice, as far as ``cache`` remembers; ``None`` shares nothing."""

    def __init__(self, generation: Generation, cache: ResponseCache | None, events: Events) -> None:
        self._generation = generation
        self._cache = cache
        self._events = events
        self._flights: SingleFlight[GenerationItem] = SingleFlight()

    def stream(
        self, request: GenerationRequest, deadline: Deadline, *, use_cache: bool, fresh: bool
    ) -> AsyncGenerator[GenerationItem, None]:
        """Yield an answer as ``Generation.run`` does. Without ``use_cache`` the request has the engine to
        itself and leaves no trace; a ``fresh`` one is computed anew and kept.
        """
        generator = self._generation.worker.info
        if self._cache is None or generator is None or not use_cache or not is_deterministic(request):
            return self._generation.run(request, deadline)
        key = response_key(request, generator)
        if fresh:
            return self._run_and_keep(request, deadline, generator, key, self._cache)
        kept = self._cache.get(key)
        self._events.tell(CacheAsked("response", hits=int(kept is not None), misses=int(kept is None)))
        if kept is not None:
            return _replay(kept, request)
        return self._share(request, deadline, generator, key, self._cache)

    async def _share(
        self, request: GenerationRequest, deadline: Deadline, generator: EngineInfo, key: bytes, cache: ResponseCache
    ) -> AsyncGenerator[GenerationItem, None]:
        clock = Clock()
        clock.admitted = clock.arrived
        # The flight has no deadline: each caller has one, and the flight ends when the last has left.
        # Only streamed requests make the engine decode token by token, so the two kinds fly apart;
        # they meet in the cache, where it makes no difference.
        with self._flights.board(
            (key, request.stream), lambda: self._run_and_keep(request, Deadline(None), generator, key, cache)
        ) as (flight, first):
            async with contextlib.aclosing(flight.follow(deadline)) as items:
                async for item in items:
                    if isinstance(item, Started):
                        clock.first_token = time.monotonic()
                    if isinstance(item, GenerationResult) and not first:
                        yield dataclasses.replace(item, timings=clock.timings(item.completion_tokens))
                    else:
                        yield item

    async def _run_and_keep(
        self, request: GenerationRequest, deadline: Deadline, generator: EngineInfo, key: bytes, cache: ResponseCache
    ) -> AsyncGenerator[GenerationItem, None]:
        async with contextlib.aclosing(self._generation.run(request, deadline)) as items:
            async for item in items:
                if isinstance(item, Started):
                    yield Started("miss")
                    continue
                # A worker may have been replaced by one with another model while the request waited.
                unchanged = self._generation.worker.info == generator
                if isinstance(item, GenerationResult) and item.finish_reason != "cancelled" and unchanged:
                    cache.put(key, item)
                yield item


async def _replay(kept: GenerationResult, request: GenerationRequest) -> AsyncGenerator[GenerationItem, None]:
    clock = Clock()
    clock.admitted = clock.arrived
    yield Started("hit")
    if request.stream:
        if kept.reasoning:
            yield ReasoningDelta(kept.reasoning)
        if kept.answer:
            yield TextDelta(request.id, kept.answer)
    # Nothing was generated for this request, so there is no rate to tell.
    yield dataclasses.replace(kept, timings=clock.timings(0), cached=True)
