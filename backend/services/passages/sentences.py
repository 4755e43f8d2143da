"""Sentences of a passage with their places, without those that address a model instead of the reader."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from services.passages.words import Word, words
from services.planted import is_planted

_SHORTENED = """
aprox art av cap dr dra ej etc figs ing lic núm pág págs pp prof sr sra srta sta tel ud uds vol approx dept e.g eg
i.e ie inc jr ltd mr mrs ms vs exmo
"""
_ABBREVIATIONS: Final = frozenset(_SHORTENED.split())
_END: Final = re.compile(r"(?<![.!?…])[.!?…]+[\"'»”’)\]]*(?=\s)")
_BREAK: Final = re.compile(r"\n\s*\n|\n(?=[ \t]*(?:[-*+•▪‣|]|\d{1,3}[.)])[ \t])")
_OPENS: Final = re.compile(r"[\s]+[\"'«“‘(\[¿¡*_]*(?:[^\W\d_]|\d)")
_MARKUP: Final = re.compile(r"\A(?:[-*+•▪‣]|#{1,6}|\d{1,3}[.)])[ \t]+")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence, a list item or a table row of a passage."""

    text: str
    """On one line."""
    start: int
    end: int
    """Its place in the passage's content, in characters."""
    words: tuple[Word, ...]


def sentences(content: str, heading: str = "") -> list[Sentence]:
    """Return the sentences of a passage's content, of which ``heading`` is the first line.

    Sentences that carry instructions for a model are left out.
    """
    start = len(heading) + 1 if heading and content.startswith(f"{heading}\n") else 0
    found = []
    for first, last in _spans(content, start):
        text = " ".join(_MARKUP.sub("", content[first:last]).split())
        if text and not is_planted(text):
            found.append(Sentence(text, first, last, tuple(words(text))))
    return found


def split(text: str) -> list[str]:
    """Return the sentences of any text."""
    return [" ".join(text[first:last].split()) for first, last in _spans(text, 0)]


def _spans(text: str, start: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of each sentence, without the blanks around it."""
    breaks = [*(found.start() for found in _BREAK.finditer(text, start)), len(text)]
    for stop in breaks:
        for found in _END.finditer(text, start, stop):
            if _ends(text, found):
                yield from _trimmed(text, start, found.end())
                start = found.end()
        yield from _trimmed(text, start, stop)
        start = stop


def _ends(text: str, found: re.Match[str]) -> bool:
    """Return whether a full stop ends a sentence, and not an abbreviation."""
    follows = _OPENS.match(text, found.end())
    if follows is None:
        return True
    if found[0][0] != ".":
        return True
    last = follows[0][-1]
    before = text[max(0, found.start() - 12) : found.start()].split()
    word = before[-1].lower().strip("(«\"'") if before else ""
    return (last.isupper() or last.isdigit() or not last.isascii()) and word not in _ABBREVIATIONS and len(word) > 0


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    piece = text[start:end]
    if piece.strip():
        yield start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())
