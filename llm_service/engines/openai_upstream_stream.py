"""A streamed answer of an upstream: from bytes to an engine's events, and never more than was asked for."""

import logging
from collections.abc import Iterator

from pydantic import ValidationError

from engines.base import Failure, Finished, FinishReason, FirstToken, GenerationRequest, RequestEvent, TextDelta
from engines.openai_upstream_faults import UpstreamFault, cut_off, from_event, malformed
from engines.openai_upstream_wire import Chunk, Usage

DONE = b"[DONE]"
LONGEST_LINE = 256 * 1024
FREE_BYTES, BYTES_PER_TOKEN = 64 * 1024, 4 * 1024
"""What an answer may take on the wire: an event of one token is some 300 bytes."""
_LENGTH = frozenset({"length", "max_tokens"})
_FAULTS = frozenset({"content_filter", "abort", "error"})

logger = logging.getLogger(__name__)


class EventReader:
    """Finds the data of server-sent events in bytes that come in any pieces."""

    def __init__(self, max_new_tokens: int) -> None:
        self._left = FREE_BYTES + BYTES_PER_TOKEN * max_new_tokens
        self._rest = b""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield the data that is now complete; raise ``UpstreamFault`` when there is too much of it."""
        self._left -= len(piece)
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if self._left < 0 or len(self._rest) > LONGEST_LINE:
            raise malformed("it does not end")
        for line in lines:
            name, _, value = line.partition(b":")
            if name == b"data":
                yield value.strip()


class AnswerReader:
    """Collects one answer. ``complete`` once the upstream has said why it ended."""

    def __init__(self, request: GenerationRequest) -> None:
        self._request = request
        self._answer: list[str] = []
        self._thought: list[str] = []
        self._reason: str | None = None
        self._usage: Usage | None = None

    @property
    def complete(self) -> bool:
        """Whether the end has come."""
        return self._reason is not None

    def take(self, data: bytes) -> Iterator[RequestEvent]:
        """Read one event; yield what it says. Raises ``UpstreamFault``."""
        try:
            chunk = Chunk.model_validate_json(data)
        except ValidationError as error:
            raise malformed("no chunk of a chat completion") from error
        if chunk.error is not None:
            raise from_event(chunk.error)
        self._usage = chunk.usage or self._usage
        for choice in chunk.choices:
            yield from self._add(choice.delta.thought, self._thought, is_thought=True)
            yield from self._add(choice.delta.content or "", self._answer, is_thought=False)
            self._reason = choice.finish_reason or self._reason

    def finish(self) -> Finished:
        """Return the whole answer; raises ``UpstreamFault`` when it has no end or one that is a fault."""
        if self._reason is None:
            raise cut_off()
        if self._reason in _FAULTS:
            raise UpstreamFault(Failure.GENERATION_FAILED, f"the upstream broke the answer off ({self._reason[:40]})")
        if self._usage is None:
            logger.warning("the upstream sends no usage: pieces of text are counted as tokens, the prompt as none")
        usage = self._usage or Usage(prompt_tokens=0, completion_tokens=len(self._thought) + len(self._answer))
        reason: FinishReason = "length" if self._reason in _LENGTH else "stop"
        return Finished(
            self._request.id,
            "".join(self._answer),
            reason,
            usage.prompt_tokens,
            usage.completion_tokens,
            reasoning="".join(self._thought).strip() or None,
        )

    def _add(self, text: str, to: list[str], *, is_thought: bool) -> Iterator[RequestEvent]:
        if not text:
            return
        if not self._answer and not self._thought:
            yield FirstToken(self._request.id)
        to.append(text)
        if self._request.stream:
            yield TextDelta(self._request.id, text, thought=is_thought)
