"""Server-sent events of an answer: JSON objects, then ``[DONE]`` or a final error event."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

from service_kit.disconnect import DeadlineExceeded
from service_kit.errors import error_body

from observability.request_record import RequestRecord
from routers.errors import problem_of
from service_kit import sse

logger = logging.getLogger(__name__)
T = TypeVar("T")


def encode(event: Mapping[str, Any]) -> bytes:
    """Encode one event."""
    return sse.event(json.dumps(event, ensure_ascii=False, allow_nan=False).encode())


async def encoded(
    parts: AsyncGenerator[T, None],
    first: T,
    to_event: Callable[[T], Mapping[str, Any]],
    deadline: float | None,
    record: RequestRecord,
) -> AsyncGenerator[bytes, None]:
    """Yield the parts as events, and ``[DONE]``; an error becomes an event that ends the stream.

    Args:
        parts: what follows ``first``; closed at the end.
        first: already received, so that a failure before it has its own status.
        to_event: returns a part's event.
        deadline: in the event loop's time, in seconds.
        record: the request's record; receives the error.

    """
    try:
        async with aclosing(parts):
            part: T | None = first
            while part is not None:
                yield encode(to_event(part))
                async with asyncio.timeout_at(deadline):
                    part = await anext(parts, None)
        yield sse.DONE
    except TimeoutError:
        yield _fault(DeadlineExceeded(), record)
    except Exception as error:
        # Catch everything: headers are sent, so no exception handler can respond any more.
        logger.exception("stream broken off", extra={"request_id": record.request_id})
        yield _fault(error, record)


def _fault(error: Exception, record: RequestRecord) -> bytes:
    problem = problem_of(error)
    record.error = problem.type
    return encode(error_body(problem, record.request_id))
