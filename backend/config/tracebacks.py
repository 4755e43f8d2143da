"""Where an exception came from, without what it says: that may be a question, a document or a row of the database."""

import traceback

_LONGEST_CHAIN = 10


def trace_of(error: BaseException, *, with_messages: bool) -> str:
    """Return the traceback of ``error`` and of what led to it; ``with_messages``: with everything they say."""
    if with_messages:
        return "".join(traceback.format_exception(error)).rstrip("\n")
    parts: list[str] = []
    current: BaseException | None = error
    while current is not None and len(parts) < _LONGEST_CHAIN:
        frames = "".join(traceback.format_tb(current.__traceback__))
        parts.append(f"Traceback (most recent call last):\n{frames}{_name(current)}")
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "\n\nThis came of it:\n\n".join(reversed(parts))


def _name(error: BaseException) -> str:
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    if isinstance(error, BaseExceptionGroup):
        return f"{name} of " + ", ".join(_name(inner) for inner in error.exceptions[:_LONGEST_CHAIN])
    if isinstance(error, OSError) and error.strerror:
        return f"{name}: {error.strerror}"  # the system's own words
    return f"{name} (LOG_LEVEL=DEBUG shows what it says)"
