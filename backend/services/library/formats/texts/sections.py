"""Sections of running text, and the passages they are cut into."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from services.library.formats.naming import Draft
from services.library.formats.records import ParsedRecords, RecordCollector, Unit
from services.library.formats.texts.chunks import Block, chunks
from services.mentor.lexicon.folding import normalise


@dataclass(slots=True)
class Section:
    """The blocks under one heading; ``path`` holds the headings above it and its own."""

    path: tuple[str, ...]
    blocks: list[Block] = field(default_factory=list)


def read_sections(sections: Iterable[Section], source: str = "", unit: Unit = "line") -> ParsedRecords:
    """Return the passages of a text; ``unit`` is what the blocks' numbers count.

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
    """Return one passage under its headings.

    Args:
        path: the headings, outermost first; they begin the content.
        text: what stands under them.
        number: distinguishes passages of equal text. It is not part of id or metadata, where an edit
            would change every passage below it.
        place: position within the section, by which neighbours are recognised.
        page: page of a PDF, from 1.

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
