"""Folding: normal form in which Spanish and Bora words are compared.

Stored texts and questions are folded by the same Python code, so that the result does not depend on
the locale of the database.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

FOLDING_VERSION = 3
"""Part of every stored content hash: raise it when a change here alters stored keys."""

_LETTERS = str.maketrans(
    {
        "ɨ": "i",
        "ʉ": "u",
        "ı": "i",
        "ß": "ss",
        "æ": "ae",
        "œ": "oe",
        "ø": "o",
        "ł": "l",
        # Apostrophes and glottal marks, in all variants that keyboards and scanners produce.
        "'": None,
        "’": None,
        "‘": None,
        "ʼ": None,
        "ʔ": None,
        "ˀ": None,
        "`": None,
        "´": None,
        "ʹ": None,
        "′": None,
        "ʻ": None,
        "‛": None,
        "ꞌ": None,
        "＇": None,
        "ˈ": None,
        "ˊ": None,
        "ˋ": None,
        "ɂ": None,
        "Ɂ": None,
    }
)
_CACHED_CHARS: Final = 200
"""Longest text whose folded form is kept: one search folds the lemmas and glosses of its candidates several times."""
_INVISIBLE = "Cf"
"""Soft hyphens, joiners, direction marks, byte order marks: they belong to no spelling."""
_NOT_WORD = re.compile(r"[^\w]+|_+")
# Scanners and typists write a plus for ɨ; a scanner's backslash inside a word is a speck of dirt.
_PLUS_IN_WORD = re.compile(r"(?<=[^\W\d_])[\u0300-\u036f]*\+|\+(?=[^\W\d_])")
_SPECK_IN_WORD = re.compile(r"(?<=\w)\\(?=\w)")


def normalise(text: str) -> str:
    """Return ``text`` in lower case and NFC with accents kept, blanks collapsed and invisible characters removed."""
    lowered = unicodedata.normalize("NFC", text).casefold()
    if not lowered.isascii():
        lowered = "".join(char for char in lowered if unicodedata.category(char) != _INVISIBLE)
    return " ".join(lowered.split())


def fold(text: str) -> str:
    """Return the words of ``text`` without accents, case, apostrophes or punctuation.

    Bora's ɨ and ʉ become i and u, ñ becomes n; words are separated by one blank. Folding
    twice changes nothing.
    """
    return _folded_before(text) if len(text) <= _CACHED_CHARS else _folded(text)


def _folded(text: str) -> str:
    # Letters first: NFKD turns some apostrophes (´) into a blank with a combining mark.
    repaired = _SPECK_IN_WORD.sub("", _PLUS_IN_WORD.sub("i", normalise(text)))
    stripped = repaired.translate(_LETTERS)
    decomposed = unicodedata.normalize("NFKD", stripped)
    bare = "".join(char for char in decomposed if not unicodedata.combining(char))
    return " ".join(_NOT_WORD.sub(" ", bare.casefold().translate(_LETTERS)).split())


_folded_before = lru_cache(maxsize=4_096)(_folded)


def words(text: str) -> list[str]:
    """Return the folded words of ``text`` in order."""
    return fold(text).split()


def position(found: Sequence[str], wanted: Sequence[str]) -> int | None:
    """Return where the words ``wanted`` stand in a row in ``found``, the first time; ``None``: nowhere."""
    starts = range(len(found) - len(wanted) + 1)
    return next((start for start in starts if found[start : start + len(wanted)] == wanted), None)
