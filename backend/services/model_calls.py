"""Calls of the language model for one question, within the time that its caller has."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

from adapters.ports.models import ChatMessage, Completion, LanguageModel, SamplingOptions, TechnicalError, TextDelta

_RESERVED_S, _RESERVED_SHARE = 0.2, 0.1
"""Time kept from a caller's limit, so that the answer from the entries arrives within it."""


class Call:
    """One question: its id, its time limit in seconds, and the time of its phases."""

    def __init__(self, request_id: str | None, timeout_s: float | None) -> None:
        self.request_id = request_id
        self.deadline: float | None = None
        """In the event loop's time."""
        if timeout_s is not None:
            reserved = min(_RESERVED_S, timeout_s * _RESERVED_SHARE)
            self.deadline = asyncio.get_running_loop().time() + timeout_s - reserved
        self._started = self._last = time.monotonic()
        self._phases: dict[str, float] = {}

    def note(self, phase: str) -> None:
        """Note the end of a phase."""
        now = time.monotonic()
        self._phases[phase] = round((now - self._last) * 1000, 1)
        self._last = now

    def timings(self, of_model: Mapping[str, float]) -> Mapping[str, float]:
        """Return the phases in milliseconds; ``total_ms`` is until now."""
        return {**of_model, **self._phases, "total_ms": round((time.monotonic() - self._started) * 1000, 1)}


async def ask(
    model: LanguageModel | None, messages: Sequence[ChatMessage], sampling: SamplingOptions, call: Call, *, draft: bool
) -> AsyncGenerator[TextDelta | Completion, None]:
    """Yield a model's completion, preceded by its parts if a draft is wanted, within the caller's limit.

    Raises ``TechnicalError`` and ``LogicalError``.
    """
    if model is None:
        raise TechnicalError("no language model is configured", reason="disabled")
    try:
        if not draft:
            async with asyncio.timeout_at(call.deadline):
                completion = await model.complete(messages, sampling, request_id=call.request_id)
            yield completion
            return
        parts = model.stream(messages, sampling, request_id=call.request_id)
        async with aclosing(parts) as stream:  # type: ignore[type-var]
            while True:
                async with asyncio.timeout_at(call.deadline):
                    part = await anext(stream, None)
                if part is None:
                    return
                yield part
    except TimeoutError as error:
        raise TechnicalError("no answer within the caller's time limit", reason="timeout") from error
