"""Tables with a header, in text files and workbooks: one word, phrase pair or passage of text per row."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from services.library.documents import InvalidDocument
from services.library.formats.records import NotReadable, ParsedRecords, RecordCollector
from services.library.formats.texts.sections import passage_draft
from services.library.formats.workbook_rows import BrokenWorkbook, workbook_rows
from services.mentor.lexicon.folding import fold

_DELIMITERS: Final = ",;\t"
_LISTS: Final = ("variants", "synonyms", "notes")
_LONGEST_ROW_LINES: Final = 50
"""Longest row, in lines: an unclosed quotation mark would turn the rest of the file into one cell."""
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


Row = tuple[int, list[str] | str]
"""Number of a row, from 1, and its cells or the reason why it has none."""


def read_table(text: str, source: str = "", delimiter: str | None = None, *, as_text: bool = False) -> ParsedRecords:
    """Return the documents of a table; bad rows are reported with their line.

    ``delimiter`` defaults to the most frequent of comma, semicolon and tab in the header. Raises
    ``NotReadable``, when the header does not name the columns of a dictionary, unless ``as_text``.
    """
    # Not splitlines(): a cell may contain other line separators.
    lines = list(io.StringIO(text))
    start = next((number for number, line in enumerate(lines) if line.strip()), None)
    if start is None:
        raise NotReadable("is empty")
    delimiter = delimiter or max(_DELIMITERS, key=lines[start].count)
    collector = RecordCollector(source, "line")
    add_rows(collector, _rows(lines, start, delimiter), as_text=as_text)
    return collector.parsed


def add_rows(collector: RecordCollector, rows: Iterable[Row], title: str = "", *, as_text: bool = False) -> None:
    """Add the rows of one table, the header first; ``title`` heads passages. Raises ``NotReadable``."""
    header: list[str] | None = None
    for number, row in rows:
        if isinstance(row, str):
            if header is None:
                raise NotReadable(f"{collector.unit} {number}: no header can be read")
            collector.problem(number, row)
        elif header is None:
            header = [" ".join(cell.split()) for cell in row] if as_text else _header(row)
        elif as_text:
            _add_passage(collector, number, header, row, title)
        else:
            _add(collector, number, header, row)


def _add_passage(
    collector: RecordCollector, number: int, header: Sequence[str], row: Sequence[str], title: str
) -> None:
    """Add a row as one passage of ``column: value``."""
    cells = [" ".join(cell.split()) for cell in row]
    names = [*header, *[""] * (len(cells) - len(header))]
    said = [f"{name}: {cell}" if name else cell for name, cell in zip(names, cells, strict=False) if cell]
    collector.add_drafts([passage_draft((title,) if title else (), "; ".join(said), number)], number)


def _add(collector: RecordCollector, number: int, header: Sequence[str], row: Sequence[str]) -> None:
    cells = [cell.strip() for cell in row]
    while len(cells) > len(header) and not cells[-1]:
        cells.pop()
    if len(cells) != len(header):
        collector.problem(number, f"{len(cells)} cells, the header has {len(header)}")
        return
    try:
        record = _record(dict(zip(header, cells, strict=True)))
    except InvalidDocument as error:
        collector.problem(number, str(error))
    else:
        collector.add(record, number)


def _header(cells: Sequence[str]) -> list[str]:
    """Return the column names as used in JSON records."""
    folded = [fold(cell) for cell in cells]
    names = [_NAMES.get(name, name.replace(" ", "_")) for name in folded]
    doubled = sorted({name for name in names if name and names.count(name) > 1})
    if doubled:
        raise NotReadable(f"two columns are named {doubled[0]}")
    have = set(names)
    if {"lemma", "gloss_bora"} <= have or {"lemma", "gloss_es"} <= have or {"bora_text", "spanish_text"} <= have:
        return names
    if {"es", "bora"} <= have:
        # The first column is the lemma.
        spanish_first = names.index("es") < names.index("bora")
        meant = {"es": "lemma", "bora": "gloss_bora"} if spanish_first else {"bora": "lemma", "es": "gloss_es"}
        return [meant.get(name, name) for name in names]
    raise NotReadable(
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


def _rows(lines: Sequence[str], start: int, delimiter: str) -> Iterator[Row]:
    """Yield each row's first line number, from 1, and its cells or a parse error.

    After an unreadable row parsing resumes at the next line, so that a stray quotation mark costs one
    row instead of the rest of the file.
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


def read_workbook(data: bytes, source: str = "", *, as_text: bool = False) -> ParsedRecords:
    """Return the documents of every sheet that holds any; rows are reported by number.

    Raises ``NotReadable``, also for a sheet whose header does not name the columns of a dictionary,
    unless ``as_text``.
    """
    collector, empty = RecordCollector(source, "row"), True
    try:
        for sheet, rows in groupby(workbook_rows(data), key=itemgetter(0)):
            empty = False
            try:
                add_rows(collector, ((number, cells) for _, number, cells in rows), sheet, as_text=as_text)
            except NotReadable as error:
                raise NotReadable(f"sheet '{sheet}': {error}") from error
    except BrokenWorkbook as error:
        raise NotReadable(str(error)) from error
    if empty:
        raise NotReadable("is empty")
    return collector.parsed
