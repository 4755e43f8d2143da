"""Parser of streamed answers: from bytes to an engine's events, cut at the requested length."""

import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

from pydantic import ValidationError

from engines.errors import GenerationFailed
from engines.events import (
    Accepted,
    Finished,
    FinishReason,
    FirstToken,
    RequestEvent,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
)
from engines.requests import GenerationRequest, ToolCall
from engines.upstream.faults import cut_off, from_event, malformed
from engines.upstream.wire import Choice, Chunk, ToolCallPiece, Usage

DONE = b"[DONE]"
LONGEST_LINE = 256 * 1024
FREE_BYTES, BYTES_PER_TOKEN = 64 * 1024, 4 * 1024
"""Most that an answer may take on the wire; an event of one token has some 300 bytes."""
_LENGTH = frozenset({"length", "max_tokens"})
_FAULTS = frozenset({"content_filter", "abort", "error"})

logger = logging.getLogger(__name__)


class EventReader:
    """Finds the data of server-sent events in bytes that arrive in any pieces."""

    def __init__(self, max_bytes: int) -> None:
        self._left = max_bytes
        self._rest = b""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield the data that is now complete; raises ``ServiceError`` when there is too much of it."""
        self._left -= len(piece)
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if self._left < 0 or len(self._rest) > LONGEST_LINE:
            raise malformed("it does not end")
        for line in lines:
            name, _, value = line.partition(b":")
            if name == b"data":
                yield value.strip()


@dataclass(slots=True)
class _Call:
    id: str
    name: str
    arguments: list[str] = field(default_factory=list)


class AnswerReader:
    """Collects one answer. ``text`` so far; ``complete`` once the server has sent the reason of its end."""

    def __init__(self, request: GenerationRequest) -> None:
        self._request = request
        self._answer: list[str] = []
        self._thought: list[str] = []
        self._reason: str | None = None
        self._usage: Usage | None = None
        self._accepted = False
        self._begun = False
        self._calls: dict[int, _Call] = {}
        self._logprobs: list[TokenLogprob] = []
        self._reported = 0
        """How many of them went out with a piece of text."""

    @property
    def text(self) -> str:
        """The answer so far, without thoughts."""
        return "".join(self._answer)

    def take(self, data: bytes) -> Iterator[RequestEvent]:
        """Read one event; yield the engine's events for it. Raises ``ServiceError``."""
        try:
            chunk = Chunk.model_validate_json(data)
        except ValidationError as error:
            raise malformed("an invalid chunk of a chat completion") from error
        if chunk.error is not None:
            raise from_event(chunk.error)
        if not self._accepted:
            self._accepted = True
            yield Accepted(self._request.id)
        self._usage = chunk.usage or self._usage
        for choice in chunk.choices:
            yield from self._add(choice.delta.thought, self._thought, is_thought=True)
            self._add_logprobs(choice)
            yield from self._add(choice.delta.content or choice.text or "", self._answer, is_thought=False)
            for piece in choice.delta.tool_calls or ():
                yield from self._add_call(piece)
            self._reason = choice.finish_reason or self._reason

    def finish(self) -> Finished:
        """Return the whole answer; raises ``ServiceError`` when its end is missing or a fault."""
        if self._reason is None:
            raise cut_off()
        if self._reason in _FAULTS:
            raise GenerationFailed(f"the upstream ended the answer early ({self._reason[:40]})")
        if self._usage is None:
            logger.warning("the upstream sends no usage: pieces of text are counted as tokens, the prompt as none")
        usage = self._usage or Usage(prompt_tokens=0, completion_tokens=len(self._thought) + len(self._answer))
        reason: FinishReason = "length" if self._reason in _LENGTH else "stop"
        return Finished(
            self._request.id,
            self.text,
            reason,
            usage.prompt_tokens,
            usage.completion_tokens,
            reasoning="".join(self._thought).strip() or None,
            tool_calls=tuple(ToolCall(call.id, call.name, "".join(call.arguments)) for call in self._calls.values()),
            logprobs=tuple(self._logprobs),
        )

    def _add(self, text: str, to: list[str], *, is_thought: bool) -> Iterator[RequestEvent]:
        if not text:
            return
        yield from self._first()
        to.append(text)
        if self._request.stream:
            fresh = () if is_thought else tuple(self._logprobs[self._reported :])
            self._reported += len(fresh)
            yield TextDelta(self._request.id, text, thought=is_thought, logprobs=fresh)

    def _add_call(self, piece: ToolCallPiece) -> Iterator[RequestEvent]:
        yield from self._first()
        call, arguments = self._calls.get(piece.index), piece.function.arguments or ""
        begins = call is None
        if call is None:
            if not piece.function.name:
                raise malformed("a tool call without a name")
            call = self._calls[piece.index] = _Call(piece.id or f"call_{uuid.uuid4().hex[:24]}", piece.function.name)
        call.arguments.append(arguments)
        if self._request.stream and (begins or arguments):
            begun = {"id": call.id, "name": call.name} if begins else {}
            yield ToolCallDelta(self._request.id, piece.index, arguments, **begun)

    def _add_logprobs(self, choice: Choice) -> None:
        for token in (choice.logprobs and choice.logprobs.content) or ():
            top = tuple(
                (other.token, other.logprob) for other in token.top_logprobs[: self._request.sampling.logprobs or 0]
            )
            self._logprobs.append(TokenLogprob(token.token, token.logprob, top))

    def _first(self) -> Iterator[FirstToken]:
        if not self._begun:
            self._begun = True
            yield FirstToken(self._request.id)
