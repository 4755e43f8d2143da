"""Markdown and plain text: chunks under their headings."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from lexical.folding import normalise
from services.formats.chunks import blocks, chunks
from services.formats.naming import Draft
from services.formats.records import ParsedRecords, RecordCollector

_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


@dataclass(slots=True)
class _Section:
    """The lines under one heading; ``path`` holds the headings above it and its own."""

    path: tuple[str, ...]
    first_line: int
    lines: list[str] = field(default_factory=list)


def read_markdown(text: str, source: str = "") -> ParsedRecords:
    """Return chunks that begin with the headings they stand under."""
    # Comments become blank lines, so that line numbers stay true.
    bare = _COMMENT.sub(lambda found: "\n" * found[0].count("\n"), text)
    return _read(_sections(bare.splitlines()), source)


def read_text(text: str, source: str = "") -> ParsedRecords:
    """Return chunks of paragraphs; blank lines separate these."""
    return _read([_Section((), 1, text.splitlines())], source)


def _read(sections: Iterable[_Section], source: str) -> ParsedRecords:
    collector = RecordCollector(source, "line")
    number = 0
    for section in sections:
        for chunk in chunks(list(blocks(section.lines, section.first_line))):
            number += 1
            collector.add_drafts([_draft(section.path, chunk.text, number)], chunk.line)
    return collector.parsed


def _draft(path: tuple[str, ...], text: str, number: int) -> Draft:
    heading = " › ".join(path)
    metadata = {"part": "chunk", **({"heading": heading} if heading else {})}
    content = f"{heading}\n{text}" if heading else text
    # The number keeps chunks of equal text apart; it is in neither id nor metadata, where it would
    # make every chunk below an edit a changed one.
    return Draft("chunk", "text", content, metadata, tuple(normalise(part) for part in path), (str(number),))


def _sections(lines: Sequence[str]) -> Iterator[_Section]:
    start = _after_front_matter(lines)
    section = _Section((), start + 1)
    fence = ""
    for number, line in enumerate(lines[start:], start + 1):
        found = _FENCE.match(line)
        if fence:
            section.lines.append(line)
            # Closed by a line of the same marks, at least as many.
            if found and found[1].startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
            continue
        if found:
            fence = found[1]
        heading = _heading(line, section.lines) if not fence else None
        if heading is None:
            section.lines.append(line)
            continue
        level, title, underlined = heading
        if underlined:
            section.lines.pop()
        yield section
        section = _Section((*section.path[: level - 1], *((title,) if title else ())), number + 1)
    yield section


def _heading(line: str, before: Sequence[str]) -> tuple[int, str, bool] | None:
    """Return level and text of a heading that ends in ``line``, and whether its text is the line before."""
    found = _HEADING.fullmatch(line)
    if found:
        return len(found[1]), (found[2] or "").strip(), False
    underline = _UNDERLINE.fullmatch(line)
    if underline is None or not before or not before[-1].strip():
        return None
    # Only a single line of text is a heading; under a table or a list, dashes are a rule.
    if before[-1].lstrip()[0] in "|-*+>" or (len(before) > 1 and before[-2].strip()):
        return None
    return (1 if underline[1][0] == "=" else 2), before[-1].strip(), True


def _after_front_matter(lines: Sequence[str]) -> int:
    """Return where the text begins: a block of settings between lines of dashes is none of it."""
    if lines and lines[0].strip() == "---":
        for number, line in enumerate(lines[1:], 1):
            if line.strip() in ("---", "..."):
                return number + 1
    return 0
