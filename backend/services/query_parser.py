"""A learner's question reduced to the words that are looked up.

Everything works on folded text (see ``lexical.folding``), so the patterns below have no
accents. A frame is only taken away when something is left inside: "¿Cómo se dice decir en
bora?" asks for *decir*.
"""

import re
from dataclasses import dataclass

from adapters.base import Direction, ParsedQuery
from lexical.folding import fold
from services.query_frames import (
    COURTESY_AFTER,
    COURTESY_BEFORE,
    FRAMES,
    LABELS,
    STOP_WORDS,
    TAIL_LANGUAGE,
    language_direction,
)
from services.query_peeling import corrected, peel

__all__ = ["fold", "parse_query"]

MAX_QUERY_CHARS = 2_000
MAX_TERMS = 24

_NOTHING = re.compile(r"(?!)")
_QUOTES = re.compile(
    r"[\"“”«»„]([^\"“”«»„]+)[\"“”«»„]"
    r"|(?<!\w)['‘’]([^'‘’]+)['‘’](?!\w)"
)


@dataclass(frozen=True, slots=True)
class _Reading:
    phrase: str
    direction: Direction | None
    framed: bool


def parse_query(text: str) -> ParsedQuery:
    """Return what ``text`` asks for.

    ``phrase`` is empty only when ``text`` holds no letter or digit. Text beyond
    ``MAX_QUERY_CHARS`` characters and terms beyond ``MAX_TERMS`` are ignored.
    """
    shortened = text[:MAX_QUERY_CHARS]
    reading = _read(fold(shortened))
    phrase = _quoted(shortened, reading) or reading.phrase
    return ParsedQuery(original=text, phrase=phrase, terms=_terms(phrase), direction=reading.direction)


def _read(folded: str) -> _Reading:
    asked = _strip(folded, COURTESY_BEFORE, COURTESY_AFTER)
    # "¿Cómo digo gracias?": what looks like courtesy is asked for where the frame is empty without it.
    framed = _framed(asked) or _framed(_strip(folded, COURTESY_BEFORE, _NOTHING))
    if framed is not None:
        return framed
    peeled = peel(folded)
    if peeled is not None:
        return _Reading(_inner(peeled[0]), peeled[1], framed=True)
    tail = TAIL_LANGUAGE.fullmatch(asked)
    if tail is not None:
        return _Reading(_inner(tail["x"]), language_direction(tail["lang"], source=False), framed=True)
    return _Reading(asked, None, framed=False)


def _framed(asked: str) -> _Reading | None:
    for text in dict.fromkeys((asked, corrected(asked))):
        for frame in FRAMES:
            found = frame.pattern.fullmatch(text)
            if found is None:
                continue
            tongue = found.groupdict().get("lang")
            direction = language_direction(tongue, source=frame.language_is_source) if tongue else frame.direction
            # The term is taken as it was typed: what was put right are words of the frame only.
            start, size = len(text[: found.start("x")].split()), len(found["x"].split())
            return _Reading(_inner(" ".join(asked.split()[start : start + size])), direction, framed=True)
    return None


def _inner(term: str) -> str:
    return _strip(term, LABELS, COURTESY_AFTER)


def _strip(text: str, before: re.Pattern[str], after: re.Pattern[str]) -> str:
    """Take words of courtesy from both ends, as long as something else is left."""
    while True:
        shorter = after.sub("", before.sub("", text, count=1), count=1).strip()
        if not shorter or shorter == text:
            return text
        text = shorter


def _quoted(text: str, reading: _Reading) -> str:
    """Return the folded text in quotation marks, when it is what ``text`` asks for.

    It is not when several parts have them, or when a frame holds more words than the quoted
    ones: dictionaries quote words within their glosses.
    """
    parts = [fold(first or second) for first, second in _QUOTES.findall(text)]
    filled = [part for part in parts if part]
    if len(filled) != 1:
        return ""
    others = set(reading.phrase.split()) - set(filled[0].split()) - STOP_WORDS
    return "" if reading.framed and others else filled[0]


def _terms(phrase: str) -> tuple[str, ...]:
    every = list(dict.fromkeys(phrase.split()))
    telling = [word for word in every if word not in STOP_WORDS]
    return tuple((telling or every)[:MAX_TERMS])
