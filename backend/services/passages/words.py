"""Words of any text: folding, stems, numbers."""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import snowballstemmer

_WORD: Final = re.compile(
    # Codes such as E3 and SP-220; numbers; words; anything else.
    r"[^\W\d_]+-?\d\w*|\d+(?:[.,:/]\d+)*|(?:[^\W\d_][\u0300-\u036f]*)+(?:['’-](?:[^\W\d_][\u0300-\u036f]*)+)*|\w+"
)
_GROUPED: Final = re.compile(r"\d{1,3}(?:[.,]\d{3})+")
_IGNORABLE: Final = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufeff"))
_FROM_E_TO_I: Final = {
    "mid": "med", "pid": "ped", "sirv": "serv", "repit": "repet", "elig": "eleg", "elij": "eleg", "corrig": "correg",
    "corrij": "correg", "impid": "imped", "despid": "desped", "consig": "conseg",
}  # fmt: skip
"""Stems of common Spanish verbs; as a rule it would join other words, such as "pisar" and "pesar"."""
_JOINTS: Final = re.compile(r"['’-]")


@dataclass(frozen=True, slots=True)
class Word:
    """A word or number of a text with its position."""

    text: str
    folded: str
    start: int
    end: int

    @property
    def is_number(self) -> bool:
        """Whether the word holds a digit."""
        return any(char.isdigit() for char in self.text)


def fold(text: str) -> str:
    """Return ``text`` in lower case without accents and invisible characters."""
    decomposed = unicodedata.normalize("NFKD", text.translate(_IGNORABLE).casefold())
    return "".join(char for char in decomposed if not unicodedata.combining(char))


def words(text: str) -> list[Word]:
    """Return the words and numbers of ``text`` in order; ``3,5`` and ``12:30`` are one each."""
    return [Word(found[0], fold(found[0]), found.start(), found.end()) for found in _WORD.finditer(text)]


def indexed(text: str) -> str:
    """Return ``text`` as the full-text index reads it: both spellings, so that accents need not be typed."""
    composed = unicodedata.normalize("NFC", text.translate(_IGNORABLE).casefold())
    folded = fold(text)
    return composed if folded == composed else f"{composed} {folded}"


@lru_cache(maxsize=50_000)
def stems(word: str, language: str) -> frozenset[str]:
    """Return the folded forms by which a word is compared: itself, its stem, and its parts if it is a compound.

    ``language`` is a Snowball name such as ``spanish``; another one leaves words as they are. Two words are
    forms of one another when the sets have a common element.
    """
    composed = unicodedata.normalize("NFC", word.translate(_IGNORABLE).casefold())
    folded = fold(composed)
    found = {folded}
    if language in snowballstemmer.algorithms():
        stemmer = snowballstemmer.stemmer(language)
        found |= {fold(stemmer.stemWord(composed)), stemmer.stemWord(folded)}
    if language == "spanish":
        found |= {_with_plain_vowel(stem) for stem in found}
    parts = [part for part in _JOINTS.split(folded) if len(part) > 2]
    return frozenset(found | (set(parts) if len(parts) > 1 else set()))


def _with_plain_vowel(stem: str) -> str:
    """Return the stem with the infinitive's vowel: "hierve" as "hervir", "cuesta" as "costar", "mide" as "medir"."""
    return _FROM_E_TO_I.get(stem) or stem.replace("ie", "e").replace("ue", "o")


def number(text: str) -> str:
    """Return a number in one notation: without thousands separators, with a decimal point."""
    if _GROUPED.fullmatch(text):
        return re.sub(r"[.,]", "", text)
    plain = text.replace(",", ".")
    return plain.rstrip("0").rstrip(".") if "." in plain and plain.count(".") == 1 else plain
