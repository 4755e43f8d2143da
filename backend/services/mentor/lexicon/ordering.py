"""Alphabetical order of Spanish and Bora: each entry's words, and their places in the list of their language.

Places are stored (``rag_words``): a change here needs a migration that empties that table, which the next start fills.
"""

import re
from collections.abc import Iterator
from typing import Any

from adapters.ports.documents import Document, Language
from adapters.ports.search import HeadWord
from services.mentor.lexicon.fields import MAX_KEY_CHARS, bare_senses
from services.mentor.lexicon.folding import fold, normalise

OTHER = "#"
"""Stands for whatever begins with no letter of the alphabet."""
_MAX_SENSES = 8
_WRITTEN: dict[Language, str] = {
    # Of the Real Academia since 2010: ch and ll stand under c and l.
    "es": "a b c d e f g h i j k l m n ñ o p q r s t u v w x y z",
    # The affricates ch, ds, ll and ts, each one consonant, and the vowels ɨ and ʉ are letters. Palatal consonants
    # (dy, ty, …) stand under their first letter; f, l, q, s, x, z are in loans and in scans.
    "boa": "a b c ch d ds e f g h i ɨ j k l ll m n ñ o p q r s t ts u ʉ v w x y z",
}
_ALPHABETS = {language: letters.split() for language, letters in _WRITTEN.items()}
_FIRST_CODE, _OTHER_CODE = "A", "~"
_CODES = {
    language: {letter: chr(ord(_FIRST_CODE) + at) for at, letter in enumerate(alphabet)}
    for language, alphabet in _ALPHABETS.items()
}
# Folding takes these letters for n, i and u: letters of another script, which it leaves alone, stand for them.
_KEPT = {"ñ": "ν", "ɨ": "ι", "ʉ": "υ"}
_TO_STAND_INS = str.maketrans(_KEPT)
_LETTERS = {
    language: re.compile("|".join(sorted((letter.translate(_TO_STAND_INS) for letter in alphabet), key=len)[::-1]))
    for language, alphabet in _ALPHABETS.items()
}
_FROM_STAND_INS = str.maketrans({stand_in: letter for letter, stand_in in _KEPT.items()})


def place(word: str, language: Language) -> str:
    """Return the sort key of ``word``: one ASCII character a letter, to be compared by bytes; empty without letters.

    Case, accents (in Bora, tones), apostrophes and punctuation do not count; a blank comes before every letter.
    """
    kept = normalise(word)
    folded = fold(kept.translate(_TO_STAND_INS) if language == "boa" else kept.replace("ñ", _KEPT["ñ"]))
    codes = _CODES[language]
    key = _LETTERS[language].sub(lambda found: codes[found[0].translate(_FROM_STAND_INS)], folded)
    return key if not key or _FIRST_CODE <= key[0] < _OTHER_CODE else _OTHER_CODE + key


def code_of(letter: str, language: Language) -> str | None:
    """Return the character with which the places of words of ``letter`` begin; ``None``: no letter of the language."""
    return _OTHER_CODE if letter == OTHER else _CODES[language].get(normalise(letter))


def letter_of(key: str, language: Language) -> str:
    """Return the letter under which a word of the place ``key`` stands."""
    at = ord(key[0]) - ord(_FIRST_CODE)
    return _ALPHABETS[language][at] if 0 <= at < len(_ALPHABETS[language]) else OTHER


def languages_of(direction: Any) -> tuple[Language, Language] | None:
    """Return the languages of lemma and gloss; ``None``: no direction."""
    if direction == "es_bora":
        return "es", "boa"
    return ("boa", "es") if direction == "bora_es" else None


def head_words(document: Document) -> list[HeadWord]:
    """Return the words under which ``document`` is listed: its lemma, and in the other language each of its meanings.

    None for documents that are not entries: examples, texts, and documents without a known direction.
    """
    meta = document.metadata
    if document.kind != "dictionary" or meta.get("part") == "example":
        return []
    lemma, gloss = meta.get("lemma"), meta.get("gloss")
    languages = languages_of(meta.get("direction"))
    if languages is None or not isinstance(lemma, str) or not isinstance(gloss, str):
        return []
    of_lemma, of_gloss = languages
    meanings = bare_senses(gloss)[:_MAX_SENSES]
    listed: dict[tuple[Language, str], HeadWord] = {}
    for each in (*_listed([lemma], of_lemma, own=True), *_listed(meanings, of_gloss, own=False)):
        listed.setdefault((each.language, each.place), each)
    return list(listed.values())


def _listed(words: list[str], language: Language, *, own: bool) -> Iterator[HeadWord]:
    for text in words:
        word = " ".join(text.split())[:MAX_KEY_CHARS]
        key = place(word, language)[:MAX_KEY_CHARS]
        if key:
            yield HeadWord(language, key, word, fold(word), own)
