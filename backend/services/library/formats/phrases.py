"""Phrase pairs: ``bora_text, spanish_text, direction, category, difficulty_level, usage_context``."""

from collections.abc import Mapping
from typing import Any

from services.library.documents import InvalidDocument, text_field
from services.library.formats.naming import Draft
from services.mentor.lexicon.folding import fold, normalise

_KEPT = ("category", "difficulty_level", "usage_context")


def is_phrase(record: Mapping[str, Any]) -> bool:
    """Return whether the record has a phrase pair's fields."""
    return "bora_text" in record and "spanish_text" in record


def phrase_draft(record: Mapping[str, Any]) -> Draft:
    """Return the pair as one document; raise ``InvalidDocument`` when a side is missing."""
    bora, spanish = text_field(record, "bora_text"), text_field(record, "spanish_text")
    if not fold(bora) or not fold(spanish):
        raise InvalidDocument("bora_text or spanish_text: empty")
    direction = record.get("direction") or "bora_es"
    if direction not in ("es_bora", "bora_es"):
        raise InvalidDocument("direction: es_bora or bora_es")
    lemma, gloss = (spanish, bora) if direction == "es_bora" else (bora, spanish)
    metadata: dict[str, Any] = {"lemma": lemma, "gloss": gloss, "pos": "", "direction": direction, "part": "phrase"}
    metadata |= {name: record[name] for name in _KEPT if record.get(name) not in (None, "")}
    # The id depends on neither the order of the sides nor the translation, which may be corrected later.
    key, twin = (normalise(bora),), (normalise(spanish),)
    return Draft("phrase", "phrase", f"{lemma} = {gloss}", metadata, key, twin)
