"""One conversation on the engine: admitted, followed, its thought told from its answer."""

import contextlib
import time
from collections.abc import AsyncGenerator, Iterable, Iterator

from engines.base import Finished, FirstToken, GenerationRequest, TextDelta
from services.admission import Admission
from services.deadline import Deadline
from services.errors import DeadlineExceeded
from services.events import Events, Generated, Waited
from services.reasoning import Part, ThoughtSplitter, split_thought
from services.results import Clock, GenerationItem, GenerationResult, ReasoningDelta, Started
from services.workers import Worker, follow


class Generation:
    """Runs requests on the generator, as many at once as ``admission`` lets in."""

    def __init__(self, worker: Worker, admission: Admission, events: Events) -> None:
        self.worker = worker
        self._admission = admission
        self._events = events

    async def run(self, request: GenerationRequest, deadline: Deadline) -> AsyncGenerator[GenerationItem, None]:
        """Yield ``Started``, deltas when the request wants them, the result; raises a ``ServiceError``."""
        clock = Clock()
        async with contextlib.AsyncExitStack() as stack:
            try:
                await deadline.wait(stack.enter_async_context(self._admission.place()))
            except DeadlineExceeded:
                self._events.tell(Waited(time.monotonic() - clock.arrived))
                raise
            clock.admitted = time.monotonic()
            self._events.tell(Waited(clock.admitted - clock.arrived))
            events = await stack.enter_async_context(contextlib.aclosing(follow(self.worker, request, deadline)))
            inside_thought, splitter = False, None
            async for event in events:
                if splitter is None:
                    inside_thought = isinstance(event, FirstToken) and _begins_inside_thought(event, request)
                    splitter = ThoughtSplitter(inside_thought=inside_thought)
                    clock.first_token = time.monotonic()
                    yield Started()
                if isinstance(event, TextDelta) and event.thought:
                    yield ReasoningDelta(event.text)
                elif isinstance(event, TextDelta):
                    for delta in _deltas(request.id, splitter.push(event.text)):
                        yield delta
                elif isinstance(event, Finished):
                    for delta in _deltas(request.id, splitter.finish()):
                        yield delta
                    self._events.tell(Generated(event.prompt_tokens, event.completion_tokens))
                    yield self._result(event, clock, inside_thought=inside_thought)

    def _result(self, event: Finished, clock: Clock, *, inside_thought: bool) -> GenerationResult:
        info = self.worker.info
        assert info is not None
        reasoning, answer = event.reasoning, event.text.strip()
        if reasoning is None:
            reasoning, answer = split_thought(event.text, inside_thought=inside_thought)
        return GenerationResult(
            answer=answer,
            model=info.model,
            device=info.device,
            finish_reason=event.finish_reason,
            prompt_tokens=event.prompt_tokens,
            completion_tokens=event.completion_tokens,
            timings=clock.timings(event.completion_tokens),
            reasoning=reasoning,
        )


def _begins_inside_thought(event: FirstToken, request: GenerationRequest) -> bool:
    # A schema binds the text from its first token on: whatever the prompt opened, no thought follows.
    return event.inside_thought and request.sampling.json_schema is None


def _deltas(request_id: str, parts: Iterable[Part]) -> Iterator[TextDelta | ReasoningDelta]:
    for kind, text in parts:
        yield ReasoningDelta(text) if kind == "thought" else TextDelta(request_id, text)
