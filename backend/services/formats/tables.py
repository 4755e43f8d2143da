"""Tables with a header line (CSV, TSV): one word or phrase pair a row."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from lexical.folding import fold
from services.documents import InvalidDocument
from services.formats.records import ParsedRecords, RecordCollector

_DELIMITERS: Final = ",;\t"
_LISTS: Final = ("variants", "synonyms", "notes")
_LONGEST_ROW_LINES: Final = 50
"""A quotation mark that is never closed would take the rest of the file for one cell."""
_NAMES: Final = {
    "lema": "lemma",
    "palabra": "lemma",
    "variantes": "variants",
    "sinonimos": "synonyms",
    "notas": "notes",
    "spanish": "es",
    "espanol": "es",
    "castellano": "es",
    "direccion": "direction",
    "categoria": "category",
}


class NotATable(Exception):
    """The header does not say what the columns hold; the message says what is expected."""


def read_table(text: str, source: str = "", delimiter: str | None = None) -> ParsedRecords:
    """Return the documents of a table; bad rows are reported with their line.

    ``delimiter`` is otherwise the one of comma, semicolon and tabulator that the header has most of.
    Raises ``NotATable``.
    """
    # Not splitlines(): a cell may hold other separators of lines.
    lines = list(io.StringIO(text))
    start = next((number for number, line in enumerate(lines) if line.strip()), None)
    if start is None:
        raise NotATable("is empty")
    delimiter = delimiter or max(_DELIMITERS, key=lines[start].count)
    collector = RecordCollector(source, "line")
    rows = _rows(lines, start, delimiter)
    header: list[str] | None = None
    for line, row in rows:
        if isinstance(row, str):
            collector.problem(line, row)
        elif header is None:
            header = _header(row)
        else:
            _add(collector, line, header, row)
        if header is None:
            raise NotATable(f"line {line}: no header can be read")
    return collector.parsed


def _add(collector: RecordCollector, line: int, header: Sequence[str], row: Sequence[str]) -> None:
    cells = [cell.strip() for cell in row]
    while len(cells) > len(header) and not cells[-1]:
        cells.pop()
    if len(cells) != len(header):
        collector.problem(line, f"{len(cells)} cells, the header has {len(header)}")
        return
    try:
        record = _record(dict(zip(header, cells, strict=True)))
    except InvalidDocument as error:
        collector.problem(line, str(error))
    else:
        collector.add(record, line)


def _header(cells: Sequence[str]) -> list[str]:
    """Return the columns' names as they are in JSON records."""
    folded = [fold(cell) for cell in cells]
    names = [_NAMES.get(name, name.replace(" ", "_")) for name in folded]
    doubled = sorted({name for name in names if name and names.count(name) > 1})
    if doubled:
        raise NotATable(f"two columns are named {doubled[0]}")
    have = set(names)
    if {"lemma", "gloss_bora"} <= have or {"lemma", "gloss_es"} <= have or {"bora_text", "spanish_text"} <= have:
        return names
    if {"es", "bora"} <= have:
        # What stands first is what is looked up.
        spanish_first = names.index("es") < names.index("bora")
        meant = {"es": "lemma", "bora": "gloss_bora"} if spanish_first else {"bora": "lemma", "es": "gloss_es"}
        return [meant.get(name, name) for name in names]
    raise NotATable(
        "the first line must name the columns: lemma with gloss_bora or gloss_es, es with bora, or bora_text with "
        "spanish_text"
    )


def _record(cells: Mapping[str, str]) -> dict[str, Any]:
    record: dict[str, Any] = {name: value for name, value in cells.items() if name}
    for name in _LISTS:
        if name in record:
            record[name] = [part.strip() for part in record[name].split(";") if part.strip()]
    if "gloss_bora" in record and "gloss_es" in record:
        record.pop("gloss_es" if record["gloss_bora"] else "gloss_bora")
    if record.get("difficulty_level", "").isascii() and record.get("difficulty_level", "").isdigit():
        record["difficulty_level"] = int(record["difficulty_level"])
    example = {"es": record.pop("example_es", ""), "bora": record.pop("example_bora", "")}
    if any(example.values()):
        record["examples"] = [example]
    return record


def _rows(lines: Sequence[str], start: int, delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    """Yield each row's first line, from 1, and its cells, or why it cannot be read.

    After a row that cannot be read the next line counts as a row again, so that one quotation mark
    too many costs one row and not the rest of the file.
    """
    position = start
    while position < len(lines):
        rest = (lines[number] for number in range(position, min(len(lines), position + _LONGEST_ROW_LINES)))
        reader = csv.reader(rest, delimiter=delimiter, strict=True)
        try:
            row = next(reader)
        except csv.Error as error:
            yield position + 1, f"not a row: {error}"
            position += 1
            continue
        if any(cell.strip() for cell in row):
            yield position + 1, row
        position += reader.line_num
