"""Routing of questions: to the dictionary, to the texts, or to both."""

from adapters.ports.search import ParsedQuery
from services.mentor.basis import Basis
from services.mentor.lexicon.folding import words
from services.passages.languages import LANGUAGES, SPANISH, recognised

_FUNCTION_WORDS = frozenset(word for language in LANGUAGES for word in language.function_words)
_QUESTION_WORDS = frozenset(word for language in LANGUAGES for word in language.question_words)


def asks_for_a_word(question: ParsedQuery) -> bool:
    """Return whether a question is about words: it has a frame such as "cómo se dice", or is nothing but words."""
    if question.direction is not None:
        return True
    asked = words(question.original)
    joints = sum(word in _FUNCTION_WORDS for word in asked)
    return len(asked) <= 1 or (joints <= 1 and not _QUESTION_WORDS.intersection(asked))


def is_settled(basis: Basis) -> bool:
    """Return whether the dictionary alone answers: it has the words that are asked for, or fixed words do."""
    question = basis.question
    if basis.fixed:
        if not question.terms or recognised(question.original) in (None, SPANISH):
            return True
        # The fixed words for another language say what the dictionary answers. The texts may answer instead, unless the
        # question asks for a word that the dictionary has.
        return bool(basis.wanted) and asks_for_a_word(question)
    return basis.exact and bool(basis.wanted) and asks_for_a_word(question)


def is_also_a_word(basis: Basis) -> bool:
    """Return whether the dictionary has the subject of a question to the texts: "¿qué es la yuca?"."""
    return basis.exact and len(basis.wanted) > 0 and len(basis.question.terms) == 1


def is_for_texts(basis: Basis) -> bool:
    """Return whether an unanswered question counts as one to the texts."""
    question = basis.question
    asked = words(question.original)
    return not asks_for_a_word(question) and (
        not _QUESTION_WORDS.isdisjoint(asked) or "?" in question.original or not basis.wanted
    )
