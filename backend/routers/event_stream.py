"""Server-sent events: one JSON object an event, ``[DONE]`` at the end, an error event in its place on a fault."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from adapters.base import AdapterError
from routers.errors import DeadlineExceeded, body_of, problem_of

logger = logging.getLogger(__name__)
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def encode(event: Mapping[str, Any]) -> bytes:
    """Return one event."""
    return b"data: " + json.dumps(event, ensure_ascii=False, allow_nan=False).encode() + b"\n\n"


async def guarded(
    events: AsyncGenerator[Mapping[str, Any], None], request_id: str, deadline: float | None
) -> AsyncGenerator[bytes, None]:
    """Yield the encoded events and ``[DONE]``; a fault is told as an ``error`` event that ends the stream.

    ``deadline`` is in the event loop's time.
    """
    try:
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    event = await anext(events)
            except StopAsyncIteration:
                break
            except TimeoutError:
                yield encode(body_of(problem_of(DeadlineExceeded()), request_id))
                return
            yield encode(event)
        yield b"data: [DONE]\n\n"
    except AdapterError as error:
        logger.warning("stream broken off", extra={"request_id": request_id, "detail": str(error)})
        yield encode(body_of(problem_of(error), request_id))
    except Exception as error:
        # The edge of the request: headers are out, so no handler can answer any more.
        logger.exception("stream broken off", extra={"request_id": request_id})
        yield encode(body_of(problem_of(error), request_id))
