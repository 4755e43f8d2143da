"""PDF files: the text of the pages, under headings recognised by the outline or by their size."""

import io
import logging
import re
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pypdf import PageObject, PdfReader
from pypdf.errors import PyPdfError

from services.library.formats.records import NotReadable, ParsedRecords, Problem
from services.library.formats.texts.sections import Block, Section, read_sections

MAX_PAGES: Final = 5_000
_MAX_HEADING_CHARS: Final = 120
_LARGER: Final = 1.15
"""Size of a heading, in sizes of the body."""
_REPEATED: Final = 0.5
"""Share of the pages that begin or end with the same line, from which on it is a header or footer."""
_HYPHENATED: Final = re.compile(r"[^\W\d_]-$")
_SENTENCE_END: Final = re.compile(r"[.!?:…][\"'»”)]*$")
_LIST_ITEM: Final = re.compile(r"(?:[•▪‣*–—-]|\d{1,2}[.)]|[a-z]\))\s")
_BROKEN: Final = (
    PyPdfError, ValueError, KeyError, TypeError, IndexError, AttributeError, OSError, RecursionError, ArithmeticError,
    NotImplementedError, AssertionError,
)  # fmt: skip
"""What pypdf raises on a broken file besides its own errors."""


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    size: float
    page: int


def read_pdf(data: bytes, source: str = "") -> ParsedRecords:
    """Return the passages of a PDF with their pages; report pages without text.

    Raises ``NotReadable`` for a broken or encrypted file, and for one without any text.
    """
    # pypdf logs each fault that it repairs.
    logging.getLogger("pypdf").setLevel(logging.ERROR)
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise NotReadable("encrypted: save it without a password")
        count = len(reader.pages)
    except _BROKEN as error:
        raise NotReadable(f"a broken PDF ({type(error).__name__})") from error
    if count > MAX_PAGES:
        raise NotReadable(f"{count} pages, at most {MAX_PAGES} are read: split it")
    pages: list[list[_Line]] = []
    problems: list[Problem] = []
    for number in range(count):
        try:
            lines = _lines(reader.pages[number], number + 1)
        except _BROKEN as error:
            lines = []
            problems.append(Problem(number + 1, f"cannot be read ({type(error).__name__})", "page"))
        else:
            if not lines:
                problems.append(Problem(number + 1, "holds no text; a scanned page needs text recognition", "page"))
        pages.append(lines)
    if not any(pages):
        raise NotReadable("holds no text; scanned pages need text recognition (OCR) first")
    kept = [line for page in _without_margins(pages) for line in page]
    parsed = read_sections(_sections(kept, _outline(reader)), source, unit="page")
    parsed.problems = [*problems, *parsed.problems]
    return parsed


def _lines(page: PageObject, number: int) -> list[_Line]:
    """Return the lines of a page with the size of their largest letters."""
    pieces: list[tuple[str, float]] = []

    def visit(text: str, matrix: Sequence[float], own: Sequence[float], _: Any, size: float) -> None:
        pieces.append((text, abs(size) * (_scale(own) or 1.0) * (_scale(matrix) or 1.0)))

    page.extract_text(visitor_text=visit)
    lines: list[_Line] = []
    text, largest = "", 0.0
    for piece, size in pieces:
        first, *rest = piece.split("\n")
        text += first
        largest = max(largest, size if first.strip() else 0.0)
        for more in rest:
            lines.append(_Line(" ".join(text.split()), largest, number))
            text, largest = more, size if more.strip() else 0.0
    lines.append(_Line(" ".join(text.split()), largest, number))
    return [line for line in lines if line.text]


def _scale(matrix: Sequence[float]) -> float:
    return float(abs(matrix[0] * matrix[3] - matrix[1] * matrix[2]) ** 0.5)


def _without_margins(pages: Sequence[Sequence[_Line]]) -> list[list[_Line]]:
    """Return the pages without page numbers, and without lines that begin or end most of them."""
    edges = Counter(key for page in pages for key in {_key(line) for line in (*page[:2], *page[-2:])})
    often = max(3, _REPEATED * len(pages))
    return [
        [
            line
            for place, line in enumerate(page)
            if not (
                (place < 2 or place >= len(page) - 2)
                and (edges[_key(line)] >= often or not any(char.isalpha() for char in line.text))
            )
        ]
        for page in pages
    ]


def _key(line: _Line) -> str:
    return re.sub(r"\d+", "#", line.text).casefold()


def _outline(reader: PdfReader) -> dict[str, int]:
    """Return the titles of the outline, folded, with their levels from 0."""
    found: dict[str, int] = {}

    def walk(items: Sequence[Any], level: int) -> None:
        for item in items:
            if isinstance(item, list):
                walk(item, level + 1)
            else:
                found.setdefault(_title(str(item.title)), level)

    try:
        walk(reader.outline, 0)
    except _BROKEN:
        return {}
    return found


def _title(text: str) -> str:
    return " ".join(re.sub(r"[\W_]+", " ", text).casefold().split())


def _sections(lines: Sequence[_Line], outline: dict[str, int]) -> Iterator[Section]:
    body = statistics.median([line.size for line in lines for _ in range(len(line.text))])
    sizes = sorted({round(line.size, 1) for line in lines if _is_large(line, body)}, reverse=True)
    path: list[tuple[int, str]] = []
    held: list[_Line] = []
    before: _Line | None = None
    for line in lines:
        level = outline.get(_title(line.text))
        if level is None and _is_large(line, body):
            level = sizes.index(round(line.size, 1))
        if level is None:
            held.append(line)
            before = None
            continue
        if before is not None and before.size == line.size and _title(line.text) not in outline:
            # A heading of two lines.
            above, title = path.pop()
            path.append((above, f"{title} {line.text}"))
        else:
            yield Section(tuple(title for _, title in path), _paragraphs(held))
            held = []
            path = [*(item for item in path if item[0] < level), (level, line.text)]
        before = line
    yield Section(tuple(title for _, title in path), _paragraphs(held))


def _is_large(line: _Line, body: float) -> bool:
    return line.size >= _LARGER * body and len(line.text) <= _MAX_HEADING_CHARS and any(map(str.isalpha, line.text))


def _paragraphs(lines: Sequence[_Line]) -> list[Block]:
    """Return the paragraphs: one ends at a short line that ends a sentence, or before a list item."""
    if not lines:
        return []
    width = statistics.quantiles([len(line.text) for line in lines], n=10)[-1] if len(lines) > 1 else 0.0
    blocks: list[Block] = []
    text, page = "", lines[0].page
    for line in lines:
        if text and _LIST_ITEM.match(line.text):
            blocks.append(Block(text, page))
            text = ""
        if not text:
            text, page = line.text, line.page
        elif _HYPHENATED.search(text) and line.text[:1].islower():
            text = text[:-1] + line.text
        else:
            text = f"{text} {line.text}"
        if _SENTENCE_END.search(line.text) and len(line.text) < 0.85 * width:
            blocks.append(Block(text, page))
            text = ""
    return [*blocks, Block(text, page)] if text else blocks
