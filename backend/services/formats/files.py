"""From a path to documents."""

import json
from pathlib import Path

from services.formats.records import ParsedRecords, read_records


class UnreadableFile(Exception):
    """The file as a whole cannot be read; the message is one line that names it."""


def read_file(path: Path) -> ParsedRecords:
    """Return the documents of a JSON file: a list of dictionary entries or phrase pairs.

    Raises ``UnreadableFile``; single bad records are reported in the result instead.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise UnreadableFile(f"{path}: no such file") from error
    except UnicodeDecodeError as error:
        raise UnreadableFile(f"{path}: not UTF-8 (byte {error.start})") from error
    except OSError as error:
        raise UnreadableFile(f"{path}: {error.strerror or error}") from error
    if path.suffix.lower() != ".json":
        raise UnreadableFile(f"{path}: unknown format '{path.suffix}', only .json is read")
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise UnreadableFile(f"{path}: not JSON, line {error.lineno} column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise UnreadableFile(f"{path}: nested too deeply") from error
    if not isinstance(content, list):
        raise UnreadableFile(f"{path}: a list of entries is expected, this is one {type(content).__name__}")
    return read_records(content)
