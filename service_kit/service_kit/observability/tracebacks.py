"""Tracebacks without exception messages: a message may quote a question, a document or a database row."""

import traceback

LONGEST_CHAIN = 10


def format_traceback(error: BaseException, *, with_messages: bool) -> str:
    """Return the traceback of ``error`` and of its causes, oldest first as Python prints them."""
    if with_messages:
        return "".join(traceback.format_exception(error)).rstrip("\n")
    parts: list[str] = []
    current: BaseException | None = error
    while current is not None and len(parts) < LONGEST_CHAIN:
        frames = "".join(traceback.format_tb(current.__traceback__))
        parts.append(f"Traceback (most recent call last):\n{frames}{_describe(current)}")
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "\n\nThe exception above led to:\n\n".join(reversed(parts))


def _describe(error: BaseException) -> str:
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    if isinstance(error, BaseExceptionGroup):
        return f"{name} of " + ", ".join(_describe(inner) for inner in error.exceptions[:LONGEST_CHAIN])
    if isinstance(error, OSError) and error.strerror:
        return f"{name}: {error.strerror}"  # the operating system's text
    return f"{name} (message hidden; LOG_LEVEL=DEBUG shows it)"
