"""Where an exception came from, without what it says: that may quote the request which it broke on."""

import traceback

LONGEST_CHAIN = 10
LEFT_OUT = "its message may quote the request; LOG_LEVEL=DEBUG shows it"


def trace(error: BaseException, *, with_messages: bool) -> str:
    """Return the traceback of an exception and of those that led to it."""
    if with_messages:
        return "".join(traceback.format_exception(error)).rstrip("\n")
    parts: list[str] = []
    at: BaseException | None = error
    while at is not None and len(parts) < LONGEST_CHAIN:
        frames = "".join(traceback.format_tb(at.__traceback__))
        parts.append(f"Traceback (most recent call last):\n{frames}{type(at).__qualname__} ({LEFT_OUT})")
        at = at.__cause__ or (None if at.__suppress_context__ else at.__context__)
    return "\nwhich came of:\n".join(parts)
