"""Server-sent events: one JSON object an event, ``[DONE]`` at the end, an error event in its place on a fault."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from adapters.base import AdapterError, LogicalError
from middleware.access_record import AccessRecord
from routers.errors import DeadlineExceeded, body_of, problem_of

logger = logging.getLogger(__name__)
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def encode(event: Mapping[str, Any]) -> bytes:
    """Return one event."""
    return b"data: " + json.dumps(event, ensure_ascii=False, allow_nan=False).encode() + b"\n\n"


async def guarded(
    events: AsyncGenerator[Mapping[str, Any], None], request_id: str, deadline: float | None, record: AccessRecord
) -> AsyncGenerator[bytes, None]:
    """Yield the encoded events and ``[DONE]``; a fault is told as an ``error`` event that ends the stream.

    ``deadline`` is in the event loop's time. ``record`` is told of a fault.
    """
    try:
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    event = await anext(events)
            except StopAsyncIteration:
                break
            except TimeoutError:
                yield _fault(DeadlineExceeded(), request_id, record)
                return
            yield encode(event)
        yield b"data: [DONE]\n\n"
    except AdapterError as error:
        # A refusal's own words may quote the question.
        detail = f"{error.status} {error.error_type}" if isinstance(error, LogicalError) else str(error)
        logger.warning("stream broken off", extra={"request_id": request_id, "detail": detail})
        yield _fault(error, request_id, record)
    except Exception as error:
        # The edge of the request: headers are out, so no handler can answer any more.
        logger.exception("stream broken off", extra={"request_id": request_id})
        yield _fault(error, request_id, record)


def _fault(error: Exception, request_id: str, record: AccessRecord) -> bytes:
    problem = problem_of(error)
    record.error = problem.type
    return encode(body_of(problem, request_id))
