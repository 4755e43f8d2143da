"""Text reduced to the form in which Spanish and Bora words are compared.

The same folding is used for what is stored and for what is asked, in Python alone, so that
the result does not depend on the locale of the database.
"""

import re
import unicodedata

FOLDING_VERSION = 2
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
        # Apostrophes and glottal marks, in all the shapes that keyboards and scanners give them.
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
_NOT_WORD = re.compile(r"[^\w]+|_+")
# Where no ɨ is to be had, scanners and typists put a plus; a scanner's backslash is a speck in a word.
_PLUS_IN_WORD = re.compile(r"(?<=[^\W\d_])[\u0300-\u036f]*\+|\+(?=[^\W\d_])")
_SPECK_IN_WORD = re.compile(r"(?<=\w)\\(?=\w)")
_SOFT_HYPHEN = "\u00ad"


def normalise(text: str) -> str:
    """Return ``text`` in lower case and NFC, its accents kept, blanks made single."""
    lowered = unicodedata.normalize("NFC", text).casefold()
    return " ".join(lowered.replace(_SOFT_HYPHEN, "").split())


def fold(text: str) -> str:
    """Return the words of ``text`` without accents, case, apostrophes or punctuation.

    Bora's ɨ and ʉ become i and u, ñ becomes n; words are separated by one blank. Folding
    twice changes nothing.
    """
    # Letters first: NFKD turns some apostrophes (´) into a blank with a combining mark.
    repaired = _SPECK_IN_WORD.sub("", _PLUS_IN_WORD.sub("i", normalise(text)))
    stripped = repaired.translate(_LETTERS)
    decomposed = unicodedata.normalize("NFKD", stripped)
    bare = "".join(char for char in decomposed if not unicodedata.combining(char))
    return " ".join(_NOT_WORD.sub(" ", bare.casefold().translate(_LETTERS)).split())


def words(text: str) -> list[str]:
    """Return the folded words of ``text`` in order."""
    return fold(text).split()
