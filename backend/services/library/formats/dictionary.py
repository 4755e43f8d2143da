"""Dictionary entries: ``lemma, variants, pos, pos_full, gloss_bora | gloss_es, synonyms, subentries, examples, notes``.

``gloss_bora`` makes a Spanish lemma with its Bora meaning, ``gloss_es`` the reverse. An entry,
each of its sub-entries and each of its examples become separate documents.
"""

from collections.abc import Mapping
from typing import Any

from adapters.ports.documents import Direction
from services.library.documents import Draft, InvalidDocument, text_field, text_list
from services.mentor.lexicon.fields import expand_variant
from services.mentor.lexicon.folding import fold, normalise

_GLOSSES: tuple[tuple[str, Direction], ...] = (("gloss_bora", "es_bora"), ("gloss_es", "bora_es"))


def is_entry(record: Mapping[str, Any]) -> bool:
    """Return whether the record has a dictionary entry's fields."""
    return "lemma" in record and any(name in record for name, _ in _GLOSSES)


def entry_drafts(record: Mapping[str, Any]) -> tuple[list[Draft], list[str]]:
    """Return the documents of one entry, and the reasons for its skipped parts.

    Raises ``InvalidDocument`` when the entry itself cannot be read.
    """
    direction = _direction(record)
    lemma = text_field(record, "lemma")
    if not fold(lemma):
        raise InvalidDocument("lemma: empty")
    drafts: list[Draft] = []
    problems: list[str] = []
    head = head_draft(record, direction, parent=None)
    if head is None:
        problems.append(f"'{lemma}' has no gloss; its sub-entries and examples are kept")
    else:
        drafts.append(head)
    problems += _examples(record, lemma, direction, drafts)
    for position, sub in enumerate(_parts(record, "subentries", problems)):
        try:
            draft = head_draft(sub, direction, parent=lemma)
            if draft is None:
                problems.append(f"sub-entry {position} of '{lemma}' has no gloss")
            else:
                drafts.append(draft)
            problems += _examples(sub, text_field(sub, "lemma") or lemma, direction, drafts)
        except InvalidDocument as error:
            problems.append(f"sub-entry {position} of '{lemma}': {error}")
    return drafts, problems


def _direction(record: Mapping[str, Any]) -> Direction:
    present = [direction for name, direction in _GLOSSES if name in record]
    if len(present) > 1:
        raise InvalidDocument("gloss_bora and gloss_es exclude each other")
    return present[0]


def head_draft(record: Mapping[str, Any], direction: Direction, parent: str | None) -> Draft | None:
    """Return an entry, or a sub-entry of ``parent``; ``None`` without a gloss.

    Raises ``InvalidDocument`` when a field cannot be read or the lemma is empty.
    """
    lemma = text_field(record, "lemma")
    gloss = text_field(record, "gloss_bora" if direction == "es_bora" else "gloss_es")
    if not fold(lemma):
        raise InvalidDocument("lemma: empty")
    if not fold(gloss):
        return None
    variants = [expand_variant(lemma, part) for text in text_list(record, "variants") for part in text.split(",")]
    pos = text_field(record, "pos")
    metadata: dict[str, Any] = {
        "lemma": lemma,
        "gloss": gloss,
        "pos": pos,
        "direction": direction,
        "part": "entry" if parent is None else "subentry",
    }
    if parent is not None:
        metadata["parent_lemma"] = parent
    more = {
        "variants": [variant.strip() for variant in variants if variant.strip()],
        "synonyms": text_list(record, "synonyms"),
        "notes": text_list(record, "notes"),
        "pos_full": text_field(record, "pos_full"),
    }
    metadata |= {name: value for name, value in more.items() if value}
    title = ", ".join([lemma, *metadata.get("variants", [])])
    content = f"{title} ({pos}): {gloss}" if pos else f"{title}: {gloss}"
    # Both keep their accents, which distinguish words in Bora.
    key = (direction, normalise(parent or ""), normalise(lemma))
    twin = (normalise(pos), normalise(gloss))
    return Draft("entry" if parent is None else "sub", "dictionary", content, metadata, key, twin)


def example_draft(record: Mapping[str, Any], parent: str, direction: Direction) -> Draft:
    """Return a sentence and its translation; raise ``InvalidDocument`` when a side is missing."""
    spanish, bora = text_field(record, "es"), text_field(record, "bora")
    if not fold(spanish) or not fold(bora):
        raise InvalidDocument("es or bora is empty")
    content, metadata = _pair(spanish, bora, direction, "example")
    key, twin = (direction, normalise(parent)), (normalise(spanish), normalise(bora))
    return Draft("example", "dictionary", content, metadata | {"parent_lemma": parent}, key, twin)


def _pair(spanish: str, bora: str, direction: Direction, part: str) -> tuple[str, dict[str, Any]]:
    """Return content and metadata of a sentence or phrase with its translation."""
    lemma, gloss = (spanish, bora) if direction == "es_bora" else (bora, spanish)
    metadata = {"lemma": lemma, "gloss": gloss, "pos": "", "direction": direction, "part": part}
    return f"{lemma} = {gloss}", metadata


def _examples(record: Mapping[str, Any], parent: str, direction: Direction, drafts: list[Draft]) -> list[str]:
    problems: list[str] = []
    for position, example in enumerate(_parts(record, "examples", problems)):
        try:
            drafts.append(example_draft(example, parent, direction))
        except InvalidDocument as error:
            problems.append(f"example {position} of '{parent}': {error}")
    return problems


def _parts(record: Mapping[str, Any], name: str, problems: list[str]) -> list[Mapping[str, Any]]:
    value = record.get(name) or []
    if not isinstance(value, list):
        problems.append(f"{name}: a list is expected")
        return []
    kept = [part for part in value if isinstance(part, Mapping)]
    if len(kept) < len(value):
        problems.append(f"{name}: {len(value) - len(kept)} of its parts are not objects")
    return kept


_KEPT = ("category", "difficulty_level", "usage_context")


def is_phrase(record: Mapping[str, Any]) -> bool:
    """Return whether the record has a phrase pair's fields."""
    return "bora_text" in record and "spanish_text" in record


def phrase_draft(record: Mapping[str, Any]) -> Draft:
    """Return the pair as one document; raise ``InvalidDocument`` when a side is missing."""
    bora, spanish = text_field(record, "bora_text"), text_field(record, "spanish_text")
    if not fold(bora) or not fold(spanish):
        raise InvalidDocument("bora_text or spanish_text: empty")
    direction: Any = record.get("direction") or "bora_es"
    if direction not in ("es_bora", "bora_es"):
        raise InvalidDocument("direction: es_bora or bora_es")
    content, metadata = _pair(spanish, bora, direction, "phrase")
    metadata |= {name: record[name] for name in _KEPT if record.get(name) not in (None, "")}
    # The id depends on neither the order of the sides nor the translation, which may be corrected later.
    key, twin = (normalise(bora),), (normalise(spanish),)
    return Draft("phrase", "phrase", content, metadata, key, twin)
