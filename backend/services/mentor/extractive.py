"""Answers quoted from the dictionary, without a model; in Spanish, for learners."""

import re
import unicodedata
from collections.abc import Sequence

from services.mentor.answer_words import as_typed
from services.mentor.basis import Basis
from services.mentor.entries import Entry
from services.planted import plain

_QUOTED_CHARS = 400
_NAMED_CHARS = 80
_NAMED_WORDS = 30


def extractive_answer(basis: Basis) -> str:
    """Return an answer that quotes the entries; near matches are presented as such."""
    if basis.fixed:
        return basis.fixed
    if basis.wanted and basis.exact:
        said = [f"{sentence[0].upper()}{sentence[1:]}." for sentence in sentences(basis)]
        lacking = [_not_found(basis.missing)] if basis.missing else []
        return " ".join([*said, *lacking, *_left_out(basis)])
    if basis.wanted:
        missing = _not_found(basis.missing or (_phrase(basis),))
        return f"{missing} Lo más parecido: {'; '.join(sentences(basis))}."
    if basis.hits:
        return f"Esto es lo que encontré: «{_shortened(plain(basis.hits[0].content))}»"
    if not _phrase(basis):
        return "No lo sé. Pregúntame por una palabra en español o en bora."
    return f'No lo sé: no encontré "{_shortened(_phrase(basis), _NAMED_CHARS)}" en el diccionario.'


def sentences(basis: Basis) -> list[str]:
    """Return a sentence for each word that an entry answers, without capital and full stop."""
    by_word: dict[tuple[str, str, str], list[str]] = {}
    for entry in basis.wanted:
        # "dormir" (duerme): which word of several is meant.
        form = f" ({entry.form})" if entry.form and basis.exact else ""
        by_word.setdefault((entry.to, entry.word, form), []).append(entry.target)
    return [
        f'en bora, "{word}"{form} se dice {_either(answers)}'
        if to == "es_bora"
        else f'en español, "{word}"{form} significa {_either(answers)}'
        for (to, word, form), answers in by_word.items()
    ]


def quoted_pairs(entries: Sequence[Entry]) -> str:
    """Return the entries in a form for any reader: "perro" = "oohííbye"."""
    return "; ".join(dict.fromkeys(f'"{entry.word}" = "{entry.target}"' for entry in entries))


def missing_words(basis: Basis) -> tuple[str, ...]:
    """Return the words asked for that are not in the dictionary."""
    # A passage that was found may answer in other words.
    is_answered = basis.fixed or basis.exact or (basis.hits and not basis.wanted)
    words = basis.missing or (() if is_answered else (_phrase(basis),))
    return tuple(_shortened(word, _NAMED_CHARS) for word in words if word)


def _phrase(basis: Basis) -> str:
    return as_typed(basis.question.original, basis.question.phrase)


def _not_found(words: Sequence[str]) -> str:
    *most, last = (f'"{_shortened(word, _NAMED_CHARS)}"' for word in words)
    named = f"{', '.join(most)} ni {last}" if most else last
    return f"No encontré {named} en el diccionario."


def _left_out(basis: Basis) -> list[str]:
    """Return a sentence that names the words that were not looked up, if there are any."""
    words = basis.question.left_out
    if not words:
        return []
    named = ", ".join(
        f'"{_shortened(as_typed(basis.question.original, word), _NAMED_CHARS)}"' for word in words[:_NAMED_WORDS]
    )
    more = f" y {len(words) - _NAMED_WORDS} más" if len(words) > _NAMED_WORDS else ""
    return [f"Son demasiadas palabras para una vez; pregúntame aparte por {named}{more}."]


def _either(answers: Sequence[str]) -> str:
    return " o ".join(f'"{answer}"' for answer in answers)


def _shortened(text: str, limit: int = _QUOTED_CHARS) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


_HINTS = (
    (r"ɨ", "la «ɨ» es otra vocal, entre la «i» y la «u»"),
    (r"(?<!c)h", "la «h» es un corte breve de la voz"),
    (r"j", "la «j» es suave, como una «h» aspirada"),
    (r"ll", "la «ll» suena como la «ch» del español"),
    (r"w", "la «w» suena como «cu» antes de vocal"),
    (r"\u0301", "la tilde marca el tono alto"),
)


def reading_hints(words: Sequence[str]) -> str:
    """Return hints for the letters of ``words`` that Spanish reads in another way."""
    letters = unicodedata.normalize("NFD", " ".join(words).lower())
    hints = [hint for pattern, hint in _HINTS if re.search(pattern, letters)]
    if not hints:
        return "Se lee casi como en español."
    return f"Para leerlo: {'; '.join(hints)}."
