"""Answers as server-sent events."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Any, Protocol

import orjson

from engines.errors import ServiceError
from routers.choices import ChoiceItem
from service_kit import sse
from services.results import GenerationItem, GenerationResult

COMMENT_EVERY_S = 5.0
"""Below the idle timeout of proxies, which is 60 s or less."""
COMMENT = b": \n\n"
"""A server-sent events comment, which clients ignore."""


class AnswerFormat(Protocol):
    """An answer as one dialect has it: a body, or the events of a stream."""

    def body(self, results: Sequence[GenerationResult]) -> dict[str, Any]:
        """Return the response of whole answers."""
        ...

    def events(self, index: int, item: GenerationItem) -> Iterator[bytes]:
        """Yield the events of an item of the answer with this index."""
        ...

    def end(self) -> Iterator[bytes]:
        """Yield the events after all answers."""
        ...

    def fail(self, error: ServiceError) -> Iterator[bytes]:
        """Yield the events of a stream that broke."""
        ...


def json_event(data: dict[str, Any], name: str | None = None) -> bytes:
    """Return one event; ``name`` is its type."""
    return sse.event(orjson.dumps(data), name)


async def events_of(
    started: ChoiceItem, items: AsyncGenerator[ChoiceItem, None], form: AnswerFormat
) -> AsyncGenerator[bytes, None]:
    """Yield the events of ``started`` and the items after it."""
    async with contextlib.aclosing(items):
        try:
            for event in form.events(*started):
                yield event
            async for index, item in items:
                for event in form.events(index, item):
                    yield event
            for event in form.end():
                yield event
        except ServiceError as error:
            for event in form.fail(error):
                yield event


async def kept_alive(
    events: AsyncGenerator[bytes, None], every_s: float = COMMENT_EVERY_S
) -> AsyncGenerator[bytes, None]:
    """Yield ``events``, with a comment every ``every_s`` seconds until the first of them."""
    async with contextlib.aclosing(events):
        first = asyncio.ensure_future(anext(events, None))
        try:
            while first in (await asyncio.wait((first,), timeout=every_s))[1]:
                yield COMMENT
        finally:
            if not first.done():
                first.cancel()
                await asyncio.gather(first, return_exceptions=True)
        event = first.result()
        while event is not None:
            yield event
            event = await anext(events, None)
