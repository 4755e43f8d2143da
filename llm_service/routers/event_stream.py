"""Keep-alive comments in event streams before the first event."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

COMMENT_EVERY_S = 5.0
"""Below the idle timeout of proxies, which is 60 s or less."""
COMMENT = b": \n\n"
"""A server-sent events comment, which clients ignore."""


async def kept_alive(
    events: AsyncGenerator[bytes, None], every_s: float = COMMENT_EVERY_S
) -> AsyncGenerator[bytes, None]:
    """Yield ``events``, with a comment every ``every_s`` seconds until the first of them."""
    async with contextlib.aclosing(events):
        first = asyncio.ensure_future(anext(events, None))
        try:
            while not first.done():
                await asyncio.wait((first,), timeout=every_s)
                if not first.done():
                    yield COMMENT
        finally:
            if not first.done():
                first.cancel()
                await asyncio.gather(first, return_exceptions=True)
        event = first.result()
        while event is not None:
            yield event
            event = await anext(events, None)
