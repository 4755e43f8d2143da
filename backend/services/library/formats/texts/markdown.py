"""Markdown and plain text: sections under their headings."""

import re
from collections.abc import Iterator, Sequence

from services.library.formats.records import ParsedRecords
from services.library.formats.texts.sections import Section, blocks, read_sections

_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


def read_markdown(text: str, source: str = "") -> ParsedRecords:
    """Return passages that begin with the headings they stand under."""
    # Comments become blank lines to preserve line numbers.
    bare = _COMMENT.sub(lambda found: "\n" * found[0].count("\n"), text)
    return read_sections(_sections(bare.splitlines()), source)


def read_text(text: str, source: str = "") -> ParsedRecords:
    """Return passages of paragraphs; blank lines separate these."""
    return read_sections([Section((), list(blocks(text.splitlines())))], source)


def _sections(lines: Sequence[str]) -> Iterator[Section]:
    start = _after_front_matter(lines)
    path: tuple[str, ...] = ()
    first, held = start + 1, list[str]()
    fence = ""
    for number, line in enumerate(lines[start:], start + 1):
        found = _FENCE.match(line)
        if fence:
            held.append(line)
            # A fence is closed by a line of at least as many of the same characters.
            if found and found[1].startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
            continue
        if found:
            fence = found[1]
        heading = _heading(line, held) if not fence else None
        if heading is None:
            held.append(line)
            continue
        level, title, underlined = heading
        if underlined:
            held.pop()
        yield Section(path, list(blocks(held, first)))
        path = (*path[: level - 1], *((title,) if title else ()))
        first, held = number + 1, []
    yield Section(path, list(blocks(held, first)))


def _heading(line: str, before: Sequence[str]) -> tuple[int, str, bool] | None:
    """Return level and text of a heading that ends in ``line``, and whether its text is the line before."""
    found = _HEADING.fullmatch(line)
    if found:
        return len(found[1]), (found[2] or "").strip(), False
    underline = _UNDERLINE.fullmatch(line)
    if underline is None or not before or not before[-1].strip():
        return None
    # Only a single line of text can be a heading; dashes under a table or a list are a rule.
    if before[-1].lstrip()[0] in "|-*+>" or (len(before) > 1 and before[-2].strip()):
        return None
    return (1 if underline[1][0] == "=" else 2), before[-1].strip(), True


def _after_front_matter(lines: Sequence[str]) -> int:
    """Return the index of the first line after the front matter, if any."""
    if lines and lines[0].strip() == "---":
        for number, line in enumerate(lines[1:], 1):
            if line.strip() in ("---", "..."):
                return number + 1
    return 0
