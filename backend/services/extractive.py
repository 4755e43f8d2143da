"""Answers made of the dictionary's own words, without a model. In Spanish: learners read them."""

from collections.abc import Sequence

from services.answer_words import as_typed
from services.entries import Basis
from services.planted import plain

_QUOTED_CHARS = 400


def extractive_answer(basis: Basis) -> str:
    """Return what the entries say; an entry near to the question is never passed off as the answer to it."""
    if basis.wanted:
        told = [f"{sentence[0].upper()}{sentence[1:]}." for sentence in _sentences(basis)]
        if basis.exact:
            return " ".join(told)
        nearest = "; ".join(_sentences(basis))
        return f"{_not_found(basis)} Lo más parecido: {nearest}."
    if basis.hits:
        return f"Esto es lo que encontré: «{_shortened(plain(basis.hits[0].content))}»"
    return unknown_answer(_phrase(basis))


def unknown_answer(phrase: str) -> str:
    """Return the answer to a question about which nothing was found."""
    if not phrase:
        return "No lo sé. Pregúntame por una palabra en español o en bora."
    return f'No lo sé: no encontré "{_shortened(phrase, 80)}" en el diccionario.'


def _phrase(basis: Basis) -> str:
    return as_typed(basis.question.original, basis.question.phrase)


def _not_found(basis: Basis) -> str:
    return f'No encontré "{_shortened(basis.missing or _phrase(basis), 80)}" en el diccionario.'


def _sentences(basis: Basis) -> list[str]:
    by_word: dict[str, list[str]] = {}
    for entry in basis.wanted:
        word = entry.named_by(basis.question.phrase, basis.direction)
        by_word.setdefault(word, []).append(entry.side(basis.direction))
    if basis.direction == "es_bora":
        return [f'en bora, "{word}" se dice {_either(answers)}' for word, answers in by_word.items()]
    return [f'en español, "{word}" significa {_either(answers)}' for word, answers in by_word.items()]


def _either(answers: Sequence[str]) -> str:
    return " o ".join(f'"{answer}"' for answer in answers)


def _shortened(text: str, limit: int = _QUOTED_CHARS) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
