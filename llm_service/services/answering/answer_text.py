"""Splits a model's text into thought, answer and tool calls."""

import dataclasses
from collections.abc import Iterable, Iterator

from engines.events import Finished, FirstToken, RequestEvent, TextDelta, TokenLogprob, ToolCallDelta
from engines.requests import GenerationRequest, ToolCall
from services.answering.reasoning import Part, ThoughtSplitter
from services.answering.tool_calls import ToolCallReader
from services.results import ReasoningDelta

Piece = TextDelta | ReasoningDelta | ToolCallDelta


class AnswerText:
    """Splits the pieces of one answer and collects them."""

    def __init__(self, request: GenerationRequest) -> None:
        self._request_id, self._streamed = request.id, request.stream
        self._formatted = request.output is not None
        self._splitter = ThoughtSplitter()
        offers = request.tools is not None and bool(request.tools.callable)
        self._reader = ToolCallReader(request.id) if offers else None
        # White space around an answer is dropped, unless it continues a text or its format requires it.
        self._raw = request.raw
        self._exact = request.raw or request.continues or (request.output is not None and request.output.kind != "json")
        self._thought: list[str] = []
        self._answer: list[str] = []
        self._logprobs: tuple[TokenLogprob, ...] = ()

    @property
    def thought(self) -> str | None:
        """The thought so far; ``None`` when there is none."""
        return "".join(self._thought).strip() or None

    @property
    def answer(self) -> str:
        """The free text so far."""
        text = "".join(self._answer)
        return text if self._exact else text.strip()

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """The complete calls so far."""
        return tuple(self._reader.calls) if self._reader is not None else ()

    def read(self, event: RequestEvent) -> Iterator[Piece]:
        """Take an event; yield what is certain now, for a request that is streamed."""
        if isinstance(event, FirstToken):
            # A format constrains the text from its first token, so there can be no thought.
            self._splitter = ThoughtSplitter(inside_thought=event.inside_thought and not self._formatted)
        elif isinstance(event, TextDelta):
            yield from self._push(event)
        elif isinstance(event, ToolCallDelta):
            yield event
        elif isinstance(event, Finished) and self._streamed:
            yield from self._finish()
        elif isinstance(event, Finished):
            for _ in (*self._push(TextDelta(event.request_id, event.text)), *self._finish()):
                pass

    def _push(self, delta: TextDelta) -> Iterator[Piece]:
        self._logprobs += delta.logprobs
        if self._raw or delta.thought:
            yield from self._split([("thought" if delta.thought else "answer", delta.text)])
        else:
            yield from self._split(self._splitter.push(delta.text))

    def _finish(self) -> Iterator[Piece]:
        yield from self._split(self._splitter.finish())
        if self._reader is not None:
            yield from self._collect(self._reader.finish())
        if self._logprobs:
            yield from self._collect([TextDelta(self._request_id, "")])

    def _split(self, parts: Iterable[Part]) -> Iterator[Piece]:
        for kind, text in parts:
            if kind == "thought":
                self._thought.append(text)
                yield ReasoningDelta(text)
            elif self._reader is None:
                yield from self._collect([TextDelta(self._request_id, text)])
            else:
                yield from self._collect(self._reader.push(text))

    def _collect(self, pieces: Iterable[TextDelta | ToolCallDelta]) -> Iterator[Piece]:
        for piece in pieces:
            if isinstance(piece, TextDelta):
                self._answer.append(piece.text)
                logprobs, self._logprobs = self._logprobs, ()
                yield dataclasses.replace(piece, logprobs=logprobs)
            else:
                yield piece
