"""Answers made of the dictionary's own words, without a model. In Spanish: learners read them."""

from collections.abc import Sequence

from services.entries import Basis

_QUOTED_CHARS = 400


def extractive_answer(basis: Basis) -> str:
    """Return what the entries say; an entry near to the question is never passed off as the answer to it."""
    if basis.wanted:
        told = _sentences(basis)
        return told if basis.exact else f"{_not_found(basis)} Lo más parecido: {told[0].lower()}{told[1:]}"
    if basis.hits:
        return f"Esto es lo que encontré: «{_shortened(basis.hits[0].content)}»"
    return unknown_answer(basis.question.phrase)


def unknown_answer(phrase: str) -> str:
    """Return the answer to a question about which nothing was found."""
    if not phrase:
        return "No lo sé. Pregúntame por una palabra en español o en bora."
    return f'No lo sé: no encontré "{_shortened(phrase, 80)}" en el diccionario.'


def _not_found(basis: Basis) -> str:
    return f'No encontré "{_shortened(basis.question.phrase, 80)}" en el diccionario.'


def _sentences(basis: Basis) -> str:
    by_word: dict[str, list[str]] = {}
    for entry in basis.wanted:
        by_word.setdefault(entry.other_side(basis.direction), []).append(entry.side(basis.direction))
    if basis.direction == "es_bora":
        return " ".join(f'En bora, "{word}" se dice {_either(answers)}.' for word, answers in by_word.items())
    return " ".join(f'En español, "{word}" significa {_either(answers)}.' for word, answers in by_word.items())


def _either(answers: Sequence[str]) -> str:
    return " o ".join(f'"{answer}"' for answer in answers)


def _shortened(text: str, limit: int = _QUOTED_CHARS) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
