"""The items of a list: "perro, gato y venado", or a line each."""

import re

from services.mentor.lexicon.folding import fold

_SEPARATOR = re.compile(r"[,;/|•\n]|(?<!\S)[-–—*](?!\S)")
_WORD = re.compile(r"[^\s,;/|•]+")
_MARKER = re.compile(r"^\s*(?:\d{1,2}\s*[.)]|[-–—*•])\s+", re.MULTILINE)
_AND = frozenset({"y", "e", "o", "u", "ni"})


def without_markers(text: str) -> str:
    """Return ``text`` without the numbers, dashes or bullets before its lines."""
    return _MARKER.sub("", text)


def items(text: str, phrase: str) -> list[list[str]]:
    """Return the folded words of each item of ``phrase``, which is part of the folded ``text``.

    Items are separated by commas, semicolons, slashes, bullets, line ends and "y", "o" and the like.
    """
    spelled = [(word, found.start(), found.end()) for found in _WORD.finditer(text) for word in fold(found[0]).split()]
    wanted = phrase.split()
    folded = [word for word, _, _ in spelled]
    starts = (at for at in range(len(folded) - len(wanted) + 1) if folded[at : at + len(wanted)] == wanted)
    first = next(starts, None)
    found: list[list[str]] = [[]]
    for at, word in enumerate(wanted):
        place = None if first is None else first + at
        if place and at and _SEPARATOR.search(text[spelled[place - 1][2] : spelled[place][1]]):
            found.append([])
        if word in _AND and 0 < at < len(wanted) - 1:
            found.append([])
        else:
            found[-1].append(word)
    return [item for item in found if item]
