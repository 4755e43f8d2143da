"""What a question looks up, in all the forms under which the dictionary may have it."""

from dataclasses import dataclass

from adapters.base import ParsedQuery
from lexical.fields import MAX_KEY_CHARS, phrase_keys
from lexical.folding import fold, normalise

MAX_WINDOW_WORDS, MAX_WINDOWS = 4, 64
SPELLED_MAX_WORDS, SPELLED_MAX_CHARS = 12, 500

_ARTICLES = ("el ", "la ", "los ", "las ", "un ", "una ", "unos ", "unas ", "a ", "al ")


@dataclass(frozen=True, slots=True)
class Asked:
    """One question, ready to be compared with many candidates."""

    query: ParsedQuery
    total: int
    """Documents in the store."""
    forms: list[str]
    typed: list[str]
    """The question as it was typed, where that is another phrase."""
    whole: list[str]
    windows: frozenset[str]
    spelled: str


def asked(query: ParsedQuery, total: int) -> Asked:
    """Return ``query`` with its forms; ``total`` is the number of documents in the store."""
    forms, whole = key_forms(query.phrase), whole_forms(query)
    return Asked(query, total, forms, whole[len(forms) :], whole, frozenset(windows(query)), _spelled(query))


def key_forms(phrase: str) -> list[str]:
    """Return the phrase and, where it starts with an article, the phrase without it."""
    forms = [phrase] if phrase else []
    forms += [phrase[len(article) :] for article in _ARTICLES if phrase.startswith(article)]
    return forms


def whole_forms(query: ParsedQuery) -> list[str]:
    """Return what an entry may be looked up by as a whole: the phrase, and the question as it was typed,
    since a sentence of the dictionary may look like a question about a word.
    """
    forms = key_forms(query.phrase)
    typed = fold(query.original[:SPELLED_MAX_CHARS])
    return forms if typed in forms or len(typed) > MAX_KEY_CHARS else [*forms, typed]


def windows(query: ParsedQuery) -> list[str]:
    """Return the parts of the phrase that may be entries of their own, each with a telling word in it."""
    words, telling = query.phrase.split(), frozenset(query.terms)
    found = dict.fromkeys(
        " ".join(words[start : start + size])
        for size in range(1, min(MAX_WINDOW_WORDS, len(words) - 1) + 1)
        for start in range(len(words) - size + 1)
        if telling.intersection(words[start : start + size])
    )
    return list(found)[:MAX_WINDOWS]


def _spelled(query: ParsedQuery) -> str:
    """Return the phrase as it was typed, with its accents, where it can be told."""
    size = len(query.phrase.split())
    if size > SPELLED_MAX_WORDS:
        return ""
    pieces = [word.strip("¿?¡!.,;:\"'“”«»()") for word in normalise(query.original[:SPELLED_MAX_CHARS]).split()]
    for start in range(len(pieces) - size, -1, -1):
        window = " ".join(pieces[start : start + size])
        if window and phrase_keys([window])[:1] == [query.phrase]:
            return window
    return ""
