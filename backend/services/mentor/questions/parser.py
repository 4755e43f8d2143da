"""Query parser: reduces a learner's question to the words to look up.

Everything works on folded text (see ``services.mentor.lexicon.folding``), so the patterns have no accents. Question
words are removed only while a term is left: "¿Cómo se dice decir en bora?" asks for *decir*.
"""

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from adapters.ports.documents import Direction
from adapters.ports.search import ParsedQuery
from services.mentor.lexicon.folding import fold, normalise, position
from services.mentor.questions.peeling import peel
from services.mentor.questions.vocabulary import COURTESY_AFTER, COURTESY_BEFORE, LINKS, STOP_WORDS

MAX_QUERY_CHARS = 2_000
MAX_TERMS = 24

_NOTHING = re.compile(r"(?!)")
_QUOTES = re.compile(
    r"[\"“”«»„]([^\"“”«»„]+)[\"“”«»„]"
    r"|(?<!\w)['‘’]([^'‘’]+)['‘’](?!\w)"
)


def parse_query(text: str) -> ParsedQuery:
    """Return the parsed question.

    ``phrase`` is empty only when ``text`` contains no letter or digit. Text beyond
    ``MAX_QUERY_CHARS`` characters is ignored, terms beyond ``MAX_TERMS`` are ``left_out``.
    """
    # Without the numbers, dashes or bullets before its lines.
    shortened = _MARKER.sub("", text[:MAX_QUERY_CHARS])
    folded = fold(shortened)
    peeled = _peeled(folded)
    phrase, direction = peeled or (_strip(folded, COURTESY_BEFORE, COURTESY_AFTER), None)
    phrase = _quoted(shortened, phrase, framed=peeled is not None) or phrase
    terms = _terms(phrase, shortened)
    return ParsedQuery(text, phrase, terms[:MAX_TERMS], direction, left_out=terms[MAX_TERMS:])


def query_for(word: str, direction: Direction, original: str) -> ParsedQuery:
    """Return the lookup of a known word; ``original`` is the question in words."""
    phrase = fold(word)
    return ParsedQuery(original=original, phrase=phrase, terms=_terms(phrase, word)[:MAX_TERMS], direction=direction)


def query_for_all(words: Sequence[str], original: str) -> ParsedQuery:
    """Return the lookup of several known words, each in either direction."""
    each = [query_for(word, "es_bora", original) for word in words]
    terms = dict.fromkeys(term for query in each for term in query.terms)
    return ParsedQuery(original, " ".join(query.phrase for query in each), tuple(terms)[:MAX_TERMS])


def _peeled(folded: str) -> tuple[str, Direction | None] | None:
    peeled = peel(_strip(folded, _NOTHING, COURTESY_AFTER))
    # "¿Cómo digo gracias?": a word of courtesy is the term when nothing else is left.
    return peel(folded) if peeled is None or peeled[0] in LINKS else peeled


def _strip(text: str, before: re.Pattern[str], after: re.Pattern[str]) -> str:
    """Remove words of courtesy from both ends, unless nothing else would be left."""
    while True:
        shorter = after.sub("", before.sub("", text, count=1), count=1).strip()
        if not shorter or shorter == text:
            return text
        text = shorter


def _quoted(text: str, phrase: str, *, framed: bool) -> str:
    """Return the folded text in quotation marks if it is the term, else an empty string.

    It is not the term if several parts are quoted, or if the framed phrase contains other words too:
    dictionaries quote words within glosses.
    """
    parts = [fold(first or second) for first, second in _QUOTES.findall(text)]
    filled = [part for part in parts if part]
    if len(filled) != 1:
        return ""
    others = set(phrase.split()) - set(filled[0].split()) - STOP_WORDS
    return "" if framed and others else filled[0]


def _terms(phrase: str, text: str) -> tuple[str, ...]:
    """Return the words of the phrase to look up. In a list every item has one, even if it is such a word as "saber"."""
    typed = frozenset(normalise(text).split())
    found: dict[str, None] = {}
    for item in items(text, phrase):
        content = [word for at, word in enumerate(item) if word not in STOP_WORDS or _has_own_meaning(word, at, typed)]
        found |= dict.fromkeys(content or item)
    return tuple(found)


def _has_own_meaning(word: str, at: int, typed: AbstractSet[str]) -> bool:
    """Return whether a stop word has a meaning of its own: "yo", "uno", "tú" with its accent, "como" after "yo"."""
    return word in ("yo", "uno") or (word == "tu" and "tú" in typed) or (word == "como" and at > 0)


_SEPARATOR = re.compile(r"[,;/|•\n]|(?<!\S)[-–—*](?!\S)")
_WORD = re.compile(r"[^\s,;/|•]+")
_MARKER = re.compile(r"^\s*(?:\d{1,2}\s*[.)]|[-–—*•])\s+", re.MULTILINE)
_AND = frozenset({"y", "e", "o", "u", "ni"})


def items(text: str, phrase: str) -> list[list[str]]:
    """Return the folded words of each item of ``phrase``, which is part of the folded ``text``.

    Items are separated by commas, semicolons, slashes, bullets, line ends and "y", "o" and the like.
    """
    spelled = [(word, found.start(), found.end()) for found in _WORD.finditer(text) for word in fold(found[0]).split()]
    wanted = phrase.split()
    first = position([word for word, _, _ in spelled], wanted)
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
