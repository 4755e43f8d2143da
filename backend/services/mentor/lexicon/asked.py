"""Lookup forms of a question."""

from adapters.ports.search import ParsedQuery
from services.mentor.lexicon.fields import MAX_KEY_CHARS, phrase_keys
from services.mentor.lexicon.folding import fold, normalise
from services.mentor.lexicon.forms import dictionary_forms

MAX_WINDOW_WORDS, MAX_WINDOWS, MAX_FORMS = 4, 64, 160
SPELLED_MAX_WORDS, SPELLED_MAX_CHARS = 12, 500

_ARTICLES = ("el ", "la ", "los ", "las ", "un ", "una ", "unos ", "unas ", "a ", "al ")


class Asked:
    """The forms in which the dictionary may contain what a question asks for; all are folded but ``spelled``."""

    def __init__(self, query: ParsedQuery) -> None:
        self.query = query
        self.forms = _with_and_without_article(query.phrase)
        typed = fold(query.original[:SPELLED_MAX_CHARS])
        self.typed = [] if typed in self.forms or len(typed) > MAX_KEY_CHARS else [typed]
        """The question itself, since a sentence of the dictionary may look like a question about a word."""
        self.whole = [*self.forms, *self.typed]
        self.windows = _windows(query)
        """Parts of the phrase that may be entries."""
        self.inflected = [] if not self.forms or " " in self.forms[-1] else dictionary_forms(self.forms[-1])
        """Dictionary forms of a phrase of one word, likeliest first."""
        of_terms = [form for term in query.terms for form in dictionary_forms(term)] if len(query.terms) > 1 else []
        self.term_forms = dict.fromkeys(list(dict.fromkeys(of_terms))[:MAX_FORMS])
        self.spelled = _spelled(query)
        """The phrase as typed, with its accents; empty if it is not found."""


def _with_and_without_article(phrase: str) -> list[str]:
    forms = [phrase] if phrase else []
    return forms + [phrase[len(article) :] for article in _ARTICLES if phrase.startswith(article)]


def _windows(query: ParsedQuery) -> dict[str, None]:
    """Return the parts of the phrase, each with a meaningful word, as an ordered set."""
    words, meaningful = query.phrase.split(), frozenset(query.terms)
    found = [
        " ".join(words[start : start + size])
        for size in range(1, min(MAX_WINDOW_WORDS, len(words) - 1) + 1)
        for start in range(len(words) - size + 1)
        if meaningful.intersection(words[start : start + size])
    ]
    return dict.fromkeys(list(dict.fromkeys(found))[:MAX_WINDOWS])


def _spelled(query: ParsedQuery) -> str:
    size = len(query.phrase.split())
    if size > SPELLED_MAX_WORDS:
        return ""
    pieces = [word.strip("¿?¡!.,;:\"'“”«»()") for word in normalise(query.original[:SPELLED_MAX_CHARS]).split()]
    for start in range(len(pieces) - size, -1, -1):
        window = " ".join(pieces[start : start + size])
        if window and phrase_keys([window])[:1] == [query.phrase]:
            return window
    return ""
