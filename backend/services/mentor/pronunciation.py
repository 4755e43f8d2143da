"""Hints for reading Bora as the dictionary of W. and D. Thiesen spells it (backend/data/README.md)."""

import re
import unicodedata
from collections.abc import Sequence

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
