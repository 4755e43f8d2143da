"""Where log lines go and how they look: JSON for programs, text for whoever reads along at a terminal.

All of the code logs with ``logging``, what belongs to a line as ``extra``; structlog gives it its form.
A record is one line whatever is in it (in text, a traceback follows, indented): nothing that a caller
sends can look like a line of ours.
"""

import json
import logging
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from config.tracebacks import trace

LogFormat = Literal["auto", "text", "json"]

NOISY = ("httpx", "httpcore", "filelock", "urllib3")
"""These write a line for every request or file."""
REQUEST_KEYS = ("request_id", "request_ids")
LEADING = ("timestamp", "level", "logger", "process", "event")


def configure_logs(level: str, log_format: LogFormat = "auto", *, process: str = "http") -> None:
    """Log to standard error. ``auto`` is text on a terminal, else JSON. ``process`` is what lines say they
    come from. The server's own access lines are replaced by ours; its other ones look as ours do.
    """
    as_text = log_format == "text" or (log_format == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(as_text=as_text, process=process, everything=level == "DEBUG"))
    logging.basicConfig(level=level, handlers=[handler])
    logging.captureWarnings(True)  # noqa: FBT003 - the only argument it has
    logging.getLogger("uvicorn.access").disabled = True
    for name in ("uvicorn", "uvicorn.error"):
        server = logging.getLogger(name)
        server.handlers.clear()
        server.propagate = True
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)


def about_request(request_id: str, trace: Mapping[str, str] | None = None) -> AbstractContextManager[None]:
    """Let every line that is logged inside the block, and in tasks started there, carry the request's id, and
    those of its ``trace``.
    """
    return structlog.contextvars.bound_contextvars(request_id=request_id, **(trace or {}))


def formatter(*, as_text: bool, process: str, everything: bool = False) -> logging.Formatter:
    """Return what turns records into lines. ``everything``: also what exceptions say that a request raised."""

    def complete(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.pop("color_message", None)  # uvicorn's line once more, with escape sequences
        event["process"] = process
        raised = event.pop("exc_info", None)
        if isinstance(raised, tuple) and raised[1] is not None:
            about_a_request = not event.keys().isdisjoint(REQUEST_KEYS)
            event["exception"] = trace(raised[1], with_messages=everything or not about_a_request)
        return event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        complete,
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
    ]
    return structlog.stdlib.ProcessorFormatter(processors=[*shared, as_text_lines if as_text else as_json])


def as_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """Return a record as one JSON object, in ASCII."""
    leading = {name: event.pop(name) for name in LEADING}
    return json.dumps({**leading, **event}, default=str)


def as_text_lines(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """Return a record as ``time LEVEL process logger: what happened name=value …`` and its traceback."""
    trace = str(event.pop("exception", ""))
    time, level, logger, process, what = (str(event.pop(name)) for name in LEADING)
    values = "".join(f" {name}={_value(value)}" for name, value in event.items())
    line = f"{time} {level.upper():<8} {process} {logger}: {printable(what)}{values}"
    return "\n    ".join([line, *(printable(part) for part in trace.splitlines())])


def printable(text: str) -> str:
    """Return ``text`` with every character written out that ends a line, moves the cursor or cannot be seen."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _value(value: Any) -> str:
    text = printable(str(value))
    # A space inside a value must not look like the next name=value.
    return '"' + text.replace('"', r"\"") + '"' if not text or set(text) & set(' ="') else text
