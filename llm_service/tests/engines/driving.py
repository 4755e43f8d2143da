"""Drives an engine the way a worker does, and checks the protocol on the way."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from engines.base import Engine
from engines.events import (
    Accepted,
    Embedded,
    Failed,
    Finished,
    FirstToken,
    LastEvent,
    Ranked,
    RequestEvent,
    TextDelta,
    ToolCallDelta,
)
from engines.requests import ChatMessage, GenerationRequest, OutputFormat, Request, SamplingParams
from services.structure.requests import constrained

PATIENCE_S = 120.0
"""When a test gives up on an engine that hangs."""


@dataclass(slots=True)
class Outcome:
    """Everything an engine said about one request."""

    first_tokens: int = 0
    deltas: list[str] = field(default_factory=list)
    end: LastEvent | None = None

    @property
    def finished(self) -> Finished:
        """The end, which must be a finished text."""
        assert isinstance(self.end, Finished), self.end
        return self.end

    @property
    def failed(self) -> Failed:
        """The end, which must be a failure."""
        assert isinstance(self.end, Failed), self.end
        return self.end

    @property
    def embedded(self) -> Embedded:
        """The end, which must be vectors."""
        assert isinstance(self.end, Embedded), self.end
        return self.end

    @property
    def ranked(self) -> Ranked:
        """The end, which must be scores."""
        assert isinstance(self.end, Ranked), self.end
        return self.end

    def take(self, event: RequestEvent) -> None:
        """Note one event; the order of events is part of the protocol."""
        assert self.end is None, f"{event} after the end"
        if isinstance(event, Accepted):
            return
        if isinstance(event, FirstToken):
            assert not self.deltas, "text before the first token"
            self.first_tokens += 1
        elif isinstance(event, TextDelta):
            assert self.first_tokens == 1, "text before the first token"
            assert event.text, "an empty delta"
            self.deltas.append(event.text)
        else:
            assert not isinstance(event, ToolCallDelta), "engines here write calls as text"
            self.end = event


def chat(
    request_id: str,
    text: str,
    *,
    max_new_tokens: int = 16,
    temperature: float = 0.0,
    top_p: float = 1.0,
    stop: tuple[str, ...] = (),
    seed: int | None = None,
    json_schema: str | None = None,
    grammar: str | None = None,
    stream: bool = True,
) -> GenerationRequest:
    """Build a request of one user message."""
    sampling = SamplingParams(max_new_tokens, temperature, top_p, stop, seed)
    request = GenerationRequest(request_id, (ChatMessage("user", text),), sampling, grammar=grammar, stream=stream)
    if json_schema is None:
        return request
    return constrained(replace(request, output=OutputFormat("json", json_schema)), upstream=False)


def run(engine: Engine, *requests: Request) -> dict[str, Outcome]:
    """Submit the requests together and step until each has ended."""
    outcomes = {request.id: Outcome() for request in requests}
    for request in requests:
        engine.submit(request)
    step_until(engine, lambda: all(outcome.end is not None for outcome in outcomes.values()), outcomes)
    assert engine.running == 0
    return outcomes


def generate(engine: Engine, request: GenerationRequest) -> Finished:
    """Run one request alone to its end."""
    return run(engine, request)[request.id].finished


def step_until(engine: Engine, is_done: Callable[[], bool], outcomes: dict[str, Outcome]) -> None:
    """Step until ``is_done``, noting every event; an event of a request that is not in ``outcomes`` is
    an error."""
    deadline = time.monotonic() + PATIENCE_S
    while not is_done():
        assert time.monotonic() < deadline, f"no end after {PATIENCE_S} s: {outcomes}"
        for event in engine.step():
            outcomes[event.request_id].take(event)
