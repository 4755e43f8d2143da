"""Query parser: reduces a learner's question to the words to look up.

Everything works on folded text (see ``services.mentor.lexicon.folding``), so the patterns below have no
accents. A frame is removed only when a term is left: "¿Cómo se dice decir en bora?" asks for *decir*.
"""

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from adapters.base import Direction, ParsedQuery
from services.mentor.lexicon.folding import fold, normalise
from services.mentor.questions.frames import (
    COURTESY_AFTER,
    COURTESY_BEFORE,
    FRAMES,
    LABELS,
    STOP_WORDS,
    TAIL_LANGUAGE,
    language_direction,
)
from services.mentor.questions.items import items, without_markers
from services.mentor.questions.peeling import corrected, peel

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
    """Return the parsed question.

    ``phrase`` is empty only when ``text`` contains no letter or digit. Text beyond
    ``MAX_QUERY_CHARS`` characters is ignored, terms beyond ``MAX_TERMS`` are ``left_out``.
    """
    shortened = without_markers(text[:MAX_QUERY_CHARS])
    reading = _read(fold(shortened))
    phrase = _quoted(shortened, reading) or reading.phrase
    terms = _terms(phrase, shortened)
    return ParsedQuery(text, phrase, terms[:MAX_TERMS], reading.direction, left_out=terms[MAX_TERMS:])


def query_for(word: str, direction: Direction, original: str) -> ParsedQuery:
    """Return the lookup of a known word; ``original`` is the question in words."""
    phrase = fold(word)
    return ParsedQuery(original=original, phrase=phrase, terms=_terms(phrase, word)[:MAX_TERMS], direction=direction)


def query_for_all(words: Sequence[str], original: str) -> ParsedQuery:
    """Return the lookup of several known words, each in either direction."""
    each = [query_for(word, "es_bora", original) for word in words]
    terms = dict.fromkeys(term for query in each for term in query.terms)
    return ParsedQuery(original, " ".join(query.phrase for query in each), tuple(terms)[:MAX_TERMS])


def _read(folded: str) -> _Reading:
    asked = _strip(folded, COURTESY_BEFORE, COURTESY_AFTER)
    # "¿Cómo digo gracias?": a word of courtesy is the term when the frame is empty without it.
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
            # Take the term as typed: only words of the frame were corrected.
            start, size = len(text[: found.start("x")].split()), len(found["x"].split())
            return _Reading(_inner(" ".join(asked.split()[start : start + size])), direction, framed=True)
    return None


def _inner(term: str) -> str:
    return _strip(term, LABELS, COURTESY_AFTER)


def _strip(text: str, before: re.Pattern[str], after: re.Pattern[str]) -> str:
    """Remove words of courtesy from both ends, unless nothing else would be left."""
    while True:
        shorter = after.sub("", before.sub("", text, count=1), count=1).strip()
        if not shorter or shorter == text:
            return text
        text = shorter


def _quoted(text: str, reading: _Reading) -> str:
    """Return the folded text in quotation marks if it is the term, else an empty string.

    It is not the term if several parts are quoted, or if the framed phrase contains other words too:
    dictionaries quote words within glosses.
    """
    parts = [fold(first or second) for first, second in _QUOTES.findall(text)]
    filled = [part for part in parts if part]
    if len(filled) != 1:
        return ""
    others = set(reading.phrase.split()) - set(filled[0].split()) - STOP_WORDS
    return "" if reading.framed and others else filled[0]


def _terms(phrase: str, text: str) -> tuple[str, ...]:
    """Return the words of the phrase to look up. In a list every item has one, even if it is such a word as "saber"."""
    typed = frozenset(normalise(text).split())
    found: dict[str, None] = {}
    for item in items(text, phrase):
        telling = [word for at, word in enumerate(item) if word not in STOP_WORDS or _is_telling(word, at, typed)]
        found |= dict.fromkeys(telling or item)
    return tuple(found)


def _is_telling(word: str, at: int, typed: AbstractSet[str]) -> bool:
    """Return whether a stop word has a meaning of its own: "yo", "uno", "tú" with its accent, "como" after "yo"."""
    return word in ("yo", "uno") or (word == "tu" and "tú" in typed) or (word == "como" and at > 0)
