"""Reading of files: format detection and parsing into documents."""

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from services.library.formats.encodings import decode
from services.library.formats.lexica import is_lift, is_mdf, read_lift, read_mdf
from services.library.formats.records import NotReadable, ParsedRecords, RecordCollector, read_records
from services.library.formats.tables import read_table, read_workbook
from services.library.formats.texts.html import read_docx, read_html
from services.library.formats.texts.markdown import read_markdown, read_text
from services.library.formats.texts.pdf import read_pdf

FORMATS: Final = ".json, .jsonl, .csv, .tsv, .xlsx, .xls, .ods, .lift, Toolbox (\\lx), .md, .txt, .html, .docx, .pdf"
MAX_BYTES: Final = 200 * 1024 * 1024
MAX_UNPACKED_BYTES: Final = 1024 * 1024 * 1024
"""Size of a document's or workbook's parts together, as its ZIP directory states it."""

_PARTS: Final = {"word/document.xml": "docx", "xl/workbook.xml": "workbook", "xl/workbook.bin": "workbook"}
_OTHERS: Final = (
    (b"{\\rtf", "an RTF document: save it as .docx or .txt"),
    (b"\x1f\x8b", "a gzip archive: unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive: unpack it first"),
    (b"Rar!", "a RAR archive: unpack it first"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\x89PNG", "an image: text in it needs text recognition (OCR) first"),
    (b"\xff\xd8\xff", "an image: text in it needs text recognition (OCR) first"),
)
_LONG_NUMBER: Final = "holds a number of thousands of digits"
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


class UnreadableFile(Exception):
    """The file as a whole cannot be read; the message is one line that names it."""


def read_file(
    path: Path, source: str | None = None, *, encoding: str | None = None, tables_as_text: bool = False
) -> ParsedRecords:
    """Return the documents of a file: dictionary entries, phrase pairs, or passages of text.

    Args:
        path: the file; its content decides before its extension does.
        source: recorded origin of the documents, by default the file's name.
        encoding: of a text file, by default detected (see ``encodings``).
        tables_as_text: read tables as text, a passage a row, instead of as dictionaries.

    Raises ``UnreadableFile``; single invalid records are reported in the result instead.

    """
    try:
        return read_content(_content(path), path.name, source, encoding=encoding, tables_as_text=tables_as_text)
    except NotReadable as error:
        raise UnreadableFile(f"{path}: {error}") from error


def read_content(
    data: bytes, file_name: str, source: str | None = None, *, encoding: str | None = None, tables_as_text: bool = False
) -> ParsedRecords:
    """Return the documents of a file's content, as ``read_file`` does. Raises ``NotReadable``."""
    name, suffix = file_name if source is None else source, Path(file_name).suffix.lower()
    match _binary_kind(suffix, data):
        case "pdf":
            return read_pdf(data, name)
        case "docx":
            return read_docx(data, name)
        case "workbook":
            return read_workbook(data, name, as_text=tables_as_text)
    if suffix in (".html", ".htm", ".xhtml") and encoding is None:
        return read_html(data, name)
    text, found = decode(data, encoding)
    parsed = _read_text(suffix, text, name, tables_as_text=tables_as_text)
    if encoding is None and found not in ("utf-8", "utf-8-sig"):
        parsed.note = f"read as {found}"
    return parsed


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise NotReadable(f"larger than {MAX_BYTES // 1024 // 1024} MiB")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotReadable("no such file") from error
    except OSError as error:
        raise NotReadable(error.strerror or str(error)) from error


def _binary_kind(suffix: str, data: bytes) -> str | None:
    """Return the kind of a binary format, or ``None`` for text; raise ``NotReadable`` for one that is not read."""
    if b"%PDF-" in data[:1024]:
        return "pdf"
    if data.startswith(b"PK\x03\x04"):
        return _zip_kind(suffix, data)
    if data.startswith(_OLE):
        # The old formats of Word and Excel have the same signature.
        if suffix == ".doc":
            raise NotReadable("a Word document of before 2007: save it as .docx")
        return "workbook"
    for start, what in _OTHERS:
        if data.startswith(start):
            raise NotReadable(f"this is {what}")
    if suffix in (".pdf", ".docx", ".xlsx", ".xlsm", ".xlsb", ".ods", ".xls", ".doc"):
        raise NotReadable(f"the content does not match the ending {suffix}")
    return None


def _zip_kind(suffix: str, data: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            sizes = {info.filename: info.file_size for info in archive.infolist()}
            mimetype = archive.read("mimetype")[:100] if sizes.get("mimetype", 1_000) < 1_000 else b""
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as error:
        raise NotReadable(f"a broken '{suffix}' file: its ZIP directory cannot be read") from error
    if sum(sizes.values()) > MAX_UNPACKED_BYTES:
        raise NotReadable(f"unpacks to more than {MAX_UNPACKED_BYTES // 1024 // 1024} MiB")
    kind = next((kind for part, kind in _PARTS.items() if part in sizes), "")
    if not kind and b"spreadsheet" in mimetype:
        kind = "workbook"
    if not kind:
        what = "an OpenDocument text: save it as .docx" if b"opendocument" in mimetype else "a ZIP archive"
        raise NotReadable(f"unknown format '{suffix}' ({what}), these are read: {FORMATS}")
    return kind


def _read_text(suffix: str, text: str, name: str, *, tables_as_text: bool) -> ParsedRecords:
    if is_mdf(text):
        return read_mdf(text, name)
    if is_lift(text) or suffix == ".lift":
        return read_lift(text, name)
    if suffix in (".csv", ".tsv", ".tab"):
        return read_table(text, name, None if suffix == ".csv" else "\t", as_text=tables_as_text)
    reader = _BY_SUFFIX.get(suffix) or (_json if text.lstrip().startswith("[") else None)
    if reader is None:
        raise NotReadable(f"unknown format '{suffix}', these are read: {FORMATS}")
    return reader(text, name)


def _json(text: str, source: str) -> ParsedRecords:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise NotReadable(f"not JSON, line {error.lineno} column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise NotReadable("nested too deeply") from error
    except ValueError as error:
        raise NotReadable(_LONG_NUMBER) from error
    if not isinstance(content, list):
        raise NotReadable(f"a list of entries is expected, this is one {type(content).__name__}")
    return read_records(content, source)


def _json_lines(text: str, source: str) -> ParsedRecords:
    """Read one record per line; skip and report lines that are not JSON."""
    collector = RecordCollector(source, "line")
    # Not splitlines(): JSON strings may contain other line separators.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            collector.problem(number, f"not JSON, column {error.colno}: {error.msg}")
        except RecursionError:
            collector.problem(number, "nested too deeply")
        except ValueError:
            collector.problem(number, _LONG_NUMBER)
        else:
            collector.add(record, number)
    return collector.parsed


_BY_SUFFIX: Final[Mapping[str, Callable[[str, str], ParsedRecords]]] = {
    ".json": _json,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".md": read_markdown,
    ".markdown": read_markdown,
    ".txt": read_text,
    ".text": read_text,
    ".html": read_html,
    ".htm": read_html,
    ".xhtml": read_html,
}
