"""A question to texts: its language, its terms, and whether it asks for a number."""

from dataclasses import dataclass

from services.passages.languages import Language, content_words, recognised
from services.passages.words import Word, words

MAX_QUESTION_CHARS = 2_000
MAX_TERMS = 24


@dataclass(frozen=True, slots=True)
class TextQuestion:
    """A question to texts."""

    original: str
    language: Language | None
    """``None``: none of those that are recognised."""
    terms: tuple[Word, ...]
    """Its words that carry a meaning, each once."""
    asks_number: bool


def read_question(text: str) -> TextQuestion:
    """Return the question; text and terms beyond the limits are ignored."""
    shortened = text[:MAX_QUESTION_CHARS]
    found = words(shortened)
    language = recognised(shortened)
    content = {word.folded: word for word in reversed(content_words(found, language))}
    # A question of function words alone is looked up as it stands.
    terms = list(content.values())[::-1] or found
    asks_number = language is not None and any(word.folded in language.asks_number for word in found)
    return TextQuestion(text, language, tuple(terms[:MAX_TERMS]), asks_number)
