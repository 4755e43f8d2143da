"""Sections of running text, and the passages they are cut into."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from services.library.documents import Draft
from services.library.formats.records import ParsedRecords, RecordCollector, Unit
from services.mentor.lexicon.folding import normalise
from services.passages.sentences import split

CHUNK_CHARS: Final = 700
"""Fits the embedding model's limit of 256 tokens, about 700 characters of Spanish; the rest would be cut off."""


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, list or table, with the number of its first line, or of its page, counted from 1."""

    text: str
    line: int


def blocks(lines: Sequence[str], first_line: int = 1) -> Iterator[Block]:
    """Yield the blocks between blank lines."""
    for is_blank, group in groupby(enumerate(lines, first_line), key=lambda numbered: not numbered[1].strip()):
        if not is_blank:
            held = list(group)
            yield Block("\n".join(line.rstrip() for _, line in held), held[0][0])


def chunks(parts: Sequence[Block], limit: int = CHUNK_CHARS) -> Iterator[Block]:
    """Yield chunks of at most ``limit`` characters: whole blocks where they fit, else whole lines,
    sentences or words. Only a word longer than ``limit`` is cut.
    """
    held: Block | None = None
    for part in parts:
        for piece in _pieces(part, limit):
            if held is None:
                held = piece
            elif len(held.text) + 2 + len(piece.text) <= limit:
                held = Block(f"{held.text}\n\n{piece.text}", held.line)
            else:
                yield held
                held = piece
    if held is not None:
        yield held


def _pieces(block: Block, limit: int) -> Iterator[Block]:
    if len(block.text) <= limit:
        yield block
        return
    lines = block.text.split("\n")
    if all(len(line) <= limit for line in lines) and _is_listing(lines):
        yield from (Block(text, block.line) for text in _packed(lines, "\n", limit))
        return
    fitting = [
        part
        for sentence in split(" ".join(block.text.split()))
        for part in textwrap.wrap(sentence, limit, break_on_hyphens=False)
    ]
    yield from (Block(text, block.line) for text in _packed(fitting, " ", limit))


def _is_listing(lines: Sequence[str]) -> bool:
    return sum(line.lstrip().startswith(("-", "*", "+", "|", "•")) for line in lines) * 2 > len(lines)


def _packed(parts: Sequence[str], joint: str, limit: int) -> Iterator[str]:
    held = ""
    for part in parts:
        if held and len(held) + len(joint) + len(part) > limit:
            yield held
            held = part
        else:
            held = f"{held}{joint}{part}" if held else part
    if held:
        yield held


@dataclass(slots=True)
class Section:
    """The blocks under one heading; ``path`` holds the headings above it and its own."""

    path: tuple[str, ...]
    blocks: list[Block] = field(default_factory=list)


def read_sections(sections: Iterable[Section], source: str = "", unit: Unit = "line") -> ParsedRecords:
    """Return the passages of a text; ``unit`` names what the numbers of blocks count.

    Page numbers are kept as ``metadata.page``.
    """
    collector = RecordCollector(source, unit)
    number = 0
    for section in sections:
        for place, chunk in enumerate(chunks(section.blocks)):
            number += 1
            page = chunk.line if unit == "page" else None
            collector.add_drafts([passage_draft(section.path, chunk.text, number, place, page)], chunk.line)
    return collector.parsed


def passage_draft(
    path: Sequence[str], text: str, number: int, place: int | None = None, page: int | None = None
) -> Draft:
    """Return one passage under the headings of ``path``, outermost first, with which its content begins.

    ``number`` distinguishes passages of equal text; it is not part of id or metadata, where an edit would change every
    passage below it. ``place`` is the position within the section, by which neighbours are recognised.
    """
    heading = " › ".join(path)
    metadata: dict[str, object] = {"part": "chunk"}
    if heading:
        metadata["heading"] = heading
    if place is not None:
        metadata["place"] = place
    if page is not None:
        metadata["page"] = page
    content = f"{heading}\n{text}" if heading else text
    return Draft("chunk", "text", content, metadata, tuple(normalise(part) for part in path), (str(number),))
