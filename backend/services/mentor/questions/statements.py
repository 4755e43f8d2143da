"""Questions about two words at once: "¿nuhba significa luna?", "¿qué diferencia hay entre madre y mamá?"."""

import re

from services.mentor.questions.vocabulary import KINDS

_MAX_WORDS = 4
_TONGUE = r"(?: (?:en|del|de) (?:el |idioma |lengua )?(?:bora|espanol|castellano))?"
_TAIL = r"(?:,? (?:verdad|no|cierto|si|si o no|o no|o que|correcto|no es cierto|no es asi))?"
_STATEMENT = re.compile(
    r"(?:(?:y|pero|entonces|oye|profe|hola|acaso) )*"
    r"(?:(?:no )?(?:es|sera) (?:cierto|verdad|correcto) que |(?:es )?verdad que |(?:creo|pienso|me dijeron) que )?"
    rf"(?:la palabra )?(?P<word>.+?){_TONGUE} (?:significa|quiere decir|se dice|se llama|se traduce (?:como|por))"
    rf"{_TONGUE} (?P<meaning>.+?){_TONGUE}{_TAIL}"
)
_COMPARISON = re.compile(
    r"(?:.* )?(?:diferencias? (?:hay |existe )?(?:entre )?|(?:se )?(?:diferencian?|distinguen?) )(?P<words>.+)"
    r"|(?:(?:es|son|significan?|quieren? decir) )?(?:lo mismo|igual(?:es)?) (?:decir |significan? |que )?(?P<same>.+)"
    r"|(?P<both>.+) (?:son|es|significan|quieren decir) (?:lo mismo|iguales|igual)"
)
_BETWEEN = re.compile(r" (?:y|e|que|o|u|de|con) ")
_NO_TERM = frozenset({"que", "como", "cual", "cuales", "quien", "donde", "cuando", "cuanto", "eso", "esto"})


def claimed(asked: str) -> tuple[str, str] | None:
    """Return the word and the meaning that a folded yes-or-no question claims for it, or ``None``."""
    found = _STATEMENT.fullmatch(asked)
    if found is None:
        return None
    pair = (found["word"], found["meaning"])
    return pair if all(_is_term(part) for part in pair) else None


def compared(asked: str) -> tuple[str, str] | None:
    """Return the two words that a folded question compares, or ``None``."""
    found = _COMPARISON.fullmatch(re.sub(rf"{_TONGUE}{_TAIL}$", "", asked))
    if found is None:
        return None
    parts = _BETWEEN.split(found["words"] or found["same"] or found["both"], maxsplit=1)
    pair = [part.strip() for part in parts]
    return (pair[0], pair[1]) if len(pair) > 1 and all(_is_term(part) for part in pair) else None


def _is_term(text: str) -> bool:
    words = text.split()
    if len(words) == 1:
        return text not in _NO_TERM
    asking = any(word in _NO_TERM or KINDS.get(word) in ("request", "say", "mean") for word in words)
    return 0 < len(words) <= _MAX_WORDS and not asking
