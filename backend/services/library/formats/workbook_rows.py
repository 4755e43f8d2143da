"""Rows of a workbook, read in a process of its own: as a program it reads one from standard input.

The reader keeps every cell of a sheet up to the last one that is filled. A stray cell far from the others takes more
memory than the machine has, which ends the process that asks for it.
"""

import contextlib
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

MAX_ROWS: Final = 1_000_000
MAX_COLUMNS: Final = 1_000
_MAX_MEMORY: Final = 4 * 1024**3
_TOO_LARGE: Final = "a broken workbook, or one that needs too much memory: keep only the rows and columns that are used"


class BrokenWorkbook(Exception):
    """The workbook cannot be read; the message says why."""


def workbook_rows(data: bytes) -> Iterator[tuple[str, int, list[str]]]:
    """Yield the rows of all sheets that hold any: sheet, number from 1, cells. Raises ``BrokenWorkbook``."""
    command = [sys.executable, "-I", __file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            # The process writes nothing before it has read everything. One that has ended shows below.
            with contextlib.suppress(OSError):
                process.stdin.write(data)
                process.stdin.close()
            for line in process.stdout:
                row = json.loads(line)
                if isinstance(row, str):
                    raise BrokenWorkbook(row)
                sheet, number, cells = row
                yield sheet, number, cells
            if process.wait() != 0:
                raise BrokenWorkbook(_TOO_LARGE)
        finally:
            process.kill()


def _read(data: bytes) -> Iterator[object]:
    """Yield the rows, or a reason why there are none."""
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        with CalamineWorkbook.from_filelike(io.BytesIO(data)) as book:
            sheets = [book.get_sheet_by_name(name) for name in book.sheet_names]
            filled = [sheet for sheet in sheets if sheet.height and sheet.width]
            for sheet in filled:
                if sheet.total_height > MAX_ROWS or sheet.total_width > MAX_COLUMNS:
                    yield f"sheet '{sheet.name}': at most {MAX_ROWS} rows and {MAX_COLUMNS} columns are read"
                    return
            for sheet in filled:
                for number, cells in enumerate(sheet.iter_rows(), 1):
                    row = [_cell(cell) for cell in cells]
                    if any(row):
                        yield sheet.name, number, row
    except (CalamineError, OSError, ValueError) as error:
        yield f"a broken workbook ({type(error).__name__}: {error})"


def _cell(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value).strip()


def _main() -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):  # Windows has no such limit
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY, _MAX_MEMORY))
    for row in _read(sys.stdin.buffer.read()):
        sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    _main()
