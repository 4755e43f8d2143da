"""Server-sent events: ``data: JSON`` each, ``[DONE]`` at the end of a whole stream."""

MEDIA_TYPE = "text/event-stream"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""No caching, and no buffering by nginx."""
DONE = b"data: [DONE]\n\n"


def event(data: bytes, name: str | None = None) -> bytes:
    """Return one event. ``data`` is JSON on one line; ``name`` is the event's type, such as ``error``."""
    head = b"" if name is None else b"event: " + name.encode() + b"\n"
    return head + b"data: " + data + b"\n\n"
