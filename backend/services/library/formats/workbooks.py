"""Workbooks (XLSX, XLS, ODS): each sheet is a table."""

import io
from collections.abc import Iterator
from typing import Final

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook

from services.library.formats.records import NotReadable, ParsedRecords, RecordCollector
from services.library.formats.tables import Row, add_rows

MAX_ROWS: Final = 1_000_000
MAX_COLUMNS: Final = 1_000


def read_workbook(data: bytes, source: str = "", *, as_text: bool = False) -> ParsedRecords:
    """Return the documents of every sheet that holds any; rows are reported by number.

    Raises ``NotReadable``, also for a sheet whose header does not name the columns of a dictionary,
    unless ``as_text``.
    """
    collector = RecordCollector(source, "row")
    try:
        with CalamineWorkbook.from_filelike(io.BytesIO(data)) as book:
            sheets = [book.get_sheet_by_name(name) for name in book.sheet_names]
            filled = [sheet for sheet in sheets if sheet.height and sheet.width]
            for sheet in filled:
                try:
                    add_rows(collector, _rows(sheet), sheet.name, as_text=as_text)
                except NotReadable as error:
                    raise NotReadable(f"sheet '{sheet.name}': {error}") from error
    # The Rust library reports a defect of its own as a panic, which is no Exception.
    except (CalamineError, OSError, ValueError) as error:
        raise NotReadable(f"a broken workbook ({type(error).__name__}: {error})") from error
    if not filled:
        raise NotReadable("is empty")
    return collector.parsed


def _rows(sheet: CalamineSheet) -> Iterator[Row]:
    if sheet.total_height > MAX_ROWS or sheet.total_width > MAX_COLUMNS:
        raise NotReadable(f"at most {MAX_ROWS} rows and {MAX_COLUMNS} columns are read")
    for number, cells in enumerate(sheet.iter_rows(), 1):
        row = [_cell(cell) for cell in cells]
        if any(row):
            yield number, row


def _cell(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value).strip()
