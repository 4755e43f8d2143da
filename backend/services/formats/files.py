"""From a path to documents: which format a file has, and how it is read."""

import json
from pathlib import Path
from typing import Final

from services.formats.records import ParsedRecords, RecordCollector, read_records
from services.formats.tables import NotATable, read_table
from services.formats.texts import read_markdown, read_text

FORMATS: Final = ".json, .jsonl, .csv, .tsv, .md, .txt"


class UnreadableFile(Exception):
    """The file as a whole cannot be read; the message is one line that names it."""


def read_file(path: Path, source: str | None = None) -> ParsedRecords:
    """Return the documents of a file: dictionary entries, phrase pairs, or chunks of text.

    ``source`` is what the documents are said to come from, by default the file's name. Raises
    ``UnreadableFile``; single bad records are reported in the result instead.
    """
    text = _decoded(path)
    name = path.name if source is None else source
    match path.suffix.lower():
        case ".json":
            return _json(path, text, name)
        case ".jsonl" | ".ndjson":
            return _json_lines(text, name)
        case ".csv" | ".tsv" | ".tab" as suffix:
            try:
                return read_table(text, name, None if suffix == ".csv" else "\t")
            except NotATable as error:
                raise UnreadableFile(f"{path}: {error}") from error
        case ".md" | ".markdown":
            return read_markdown(text, name)
        case ".txt" | ".text":
            return read_text(text, name)
        case suffix if text.lstrip()[:1] == "[":
            return _json(path, text, name)
    raise UnreadableFile(f"{path}: unknown format '{suffix}', these are read: {FORMATS}")


def _decoded(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise UnreadableFile(f"{path}: no such file") from error
    except UnicodeDecodeError as error:
        raise UnreadableFile(f"{path}: not UTF-8 (byte {error.start})") from error
    except OSError as error:
        raise UnreadableFile(f"{path}: {error.strerror or error}") from error


def _json(path: Path, text: str, source: str) -> ParsedRecords:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise UnreadableFile(f"{path}: not JSON, line {error.lineno} column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise UnreadableFile(f"{path}: nested too deeply") from error
    if not isinstance(content, list):
        raise UnreadableFile(f"{path}: a list of entries is expected, this is one {type(content).__name__}")
    return read_records(content, source)


def _json_lines(text: str, source: str) -> ParsedRecords:
    """Read one record a line; a line that is no JSON is left out."""
    collector = RecordCollector(source, "line")
    # Not splitlines(): JSON allows other line separators inside a text.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            collector.problem(number, f"not JSON, column {error.colno}: {error.msg}")
        except RecursionError:
            collector.problem(number, "nested too deeply")
        else:
            collector.add(record, number)
    return collector.parsed
