"""Lookup forms of a question: every form in which the dictionary may contain its phrase."""

from dataclasses import dataclass

from adapters.base import ParsedQuery
from services.mentor.lexicon.fields import MAX_KEY_CHARS, phrase_keys
from services.mentor.lexicon.folding import fold, normalise
from services.mentor.lexicon.inflections import dictionary_forms

MAX_WINDOW_WORDS, MAX_WINDOWS, MAX_FORMS = 4, 64, 160
_SEVERAL = 2
SPELLED_MAX_WORDS, SPELLED_MAX_CHARS = 12, 500

_ARTICLES = ("el ", "la ", "los ", "las ", "un ", "una ", "unos ", "unas ", "a ", "al ")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question prepared for comparison with many candidates."""

    query: ParsedQuery
    total: int
    """Documents in the store."""
    forms: list[str]
    typed: list[str]
    """The question as typed, if it differs from the phrase."""
    whole: list[str]
    windows: frozenset[str]
    inflected: tuple[str, ...]
    """Dictionary forms of the phrase, if it is one word, likeliest first."""
    term_forms: frozenset[str]
    """Dictionary forms of the terms."""
    spelled: str


def asked(query: ParsedQuery, total: int) -> Asked:
    """Return ``query`` with its forms; ``total`` is the number of documents in the store."""
    forms, whole = key_forms(query.phrase), whole_forms(query)
    return Asked(
        query,
        total,
        forms,
        whole[len(forms) :],
        whole,
        frozenset(windows(query)),
        tuple(inflected_forms(query)),
        frozenset(term_forms(query)),
        _spelled(query),
    )


def key_forms(phrase: str) -> list[str]:
    """Return the phrase and, if it starts with an article, the phrase without it."""
    forms = [phrase] if phrase else []
    forms += [phrase[len(article) :] for article in _ARTICLES if phrase.startswith(article)]
    return forms


def whole_forms(query: ParsedQuery) -> list[str]:
    """Return the forms for whole-phrase lookup: the phrase, and the question as typed, since a sentence
    of the dictionary may look like a question about a word.
    """
    forms = key_forms(query.phrase)
    typed = fold(query.original[:SPELLED_MAX_CHARS])
    return forms if typed in forms or len(typed) > MAX_KEY_CHARS else [*forms, typed]


def windows(query: ParsedQuery) -> list[str]:
    """Return the parts of the phrase that may be entries; each contains a meaningful word."""
    words, telling = query.phrase.split(), frozenset(query.terms)
    found = dict.fromkeys(
        " ".join(words[start : start + size])
        for size in range(1, min(MAX_WINDOW_WORDS, len(words) - 1) + 1)
        for start in range(len(words) - size + 1)
        if telling.intersection(words[start : start + size])
    )
    return list(found)[:MAX_WINDOWS]


def inflected_forms(query: ParsedQuery) -> list[str]:
    """Return the dictionary forms of a phrase of one word, an article aside."""
    words = key_forms(query.phrase)[-1:]
    return [] if not words or " " in words[0] else dictionary_forms(words[0])


def term_forms(query: ParsedQuery) -> list[str]:
    """Return the dictionary forms of the terms of a longer phrase."""
    if len(query.terms) < _SEVERAL:
        return []
    found = dict.fromkeys(form for term in query.terms for form in dictionary_forms(term))
    return list(found)[:MAX_FORMS]


def _spelled(query: ParsedQuery) -> str:
    """Return the phrase as typed, with its accents, or an empty string if it is not found."""
    size = len(query.phrase.split())
    if size > SPELLED_MAX_WORDS:
        return ""
    pieces = [word.strip("¿?¡!.,;:\"'“”«»()") for word in normalise(query.original[:SPELLED_MAX_CHARS]).split()]
    for start in range(len(pieces) - size, -1, -1):
        window = " ".join(pieces[start : start + size])
        if window and phrase_keys([window])[:1] == [query.phrase]:
            return window
    return ""
