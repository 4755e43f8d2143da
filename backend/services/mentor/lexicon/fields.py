"""Index fields of a document: whole-phrase keys, near keys for typos, and weighted texts."""

import re
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from adapters.ports.documents import Document
from adapters.ports.search import IndexFields
from services.mentor.lexicon.folding import fold, normalise

MAX_KEYS = 32
MAX_KEY_CHARS = 120
NEAR_MIN_CHARS = 4
NEAR_MAX_CHARS = 32

_SENSES = re.compile(r"[,;/|•]|\s\d+[.)]\s|\s-\s")
_PARENTHESES = re.compile(r"\([^()]*\)?")


def index_fields(document: Document) -> IndexFields:
    """Return the index fields of ``document``, from its metadata and content.

    The ``parent_lemma`` of an example is for display only: its keys are its own sentences, so that it
    never matches as the entry itself.
    """
    meta = document.metadata
    direction = meta.get("direction") if meta.get("direction") in ("es_bora", "bora_es") else None
    head, gloss = texts_of(meta.get("lemma")), texts_of(meta.get("gloss"))
    stem_c = _stemmed([document.content])
    if meta.get("part") == "example":
        return IndexFields(
            direction, phrase_keys(head), phrase_keys(gloss), text_c=fold(document.content), stem_c=stem_c
        )
    head += texts_of(meta.get("variants"))
    gloss += texts_of(meta.get("synonyms"))
    lemma_keys, gloss_keys = phrase_keys(head), phrase_keys(gloss)
    return IndexFields(
        direction,
        lemma_keys,
        gloss_keys,
        near_keys=sorted({code for key in lemma_keys + gloss_keys for code in near_codes(key)}),
        text_a=fold(" ".join(head)),
        text_b=fold(" ".join(gloss)),
        text_c=fold(" ".join([document.content, *texts_of(meta.get("notes"))])),
        stem_a=_stemmed(head) if direction != "bora_es" else "",
        stem_b=_stemmed(gloss) if direction != "es_bora" else "",
        stem_c=stem_c,
    )


def phrase_keys(texts: Iterable[str]) -> list[str]:
    """Return the folded phrases for whole-phrase lookup: each text, the text without parentheses, and
    each of its senses.
    """
    keys: dict[str, None] = {}
    for text in texts:
        bare = _PARENTHESES.sub(" ", text)
        for candidate in (text, bare, *_SENSES.split(bare)):
            key = fold(candidate)
            if key and len(key) <= MAX_KEY_CHARS:
                keys.setdefault(key)
    return list(keys)[:MAX_KEYS]


def bare_senses(gloss: str) -> list[str]:
    """Return the senses of ``gloss`` in its spelling, without parentheses and closing punctuation."""
    return [sense for part in _SENSES.split(_PARENTHESES.sub(" ", gloss)) if (sense := part.strip(" .:"))]


def near_codes(key: str) -> list[int]:
    """Return 32-bit codes of ``key`` and of ``key`` less one character, each once.

    Two phrases that differ by one insertion, deletion, replacement or swap of neighbours share
    a code (the deletion neighbourhood of the symmetric-delete method). Returns no codes for short words,
    which have too many neighbours, and for long phrases.
    """
    if not NEAR_MIN_CHARS <= len(key) <= NEAR_MAX_CHARS:
        return []
    forms = {key} | {key[:i] + key[i + 1 :] for i in range(len(key))}
    return sorted(zlib.crc32(form.encode()) - 2**31 for form in forms)


def expand_variant(lemma: str, variant: str) -> str:
    """Return the variant in full: dictionaries print "canoso, sa" for "canosa".

    A variant of at most three letters replaces the end of the lemma, from the last occurrence of the
    variant's first letter; any other is returned unchanged.
    """
    ending = variant.strip().lstrip("-").strip()
    if not 0 < len(ending) <= 3 or " " in lemma.strip():
        return variant
    start = lemma.rfind(ending[0])
    if start <= 0 or len(lemma) - start > len(ending) + 1:
        return variant
    return lemma[:start] + ending


def texts_of(value: Any) -> list[str]:
    """Return the texts of a metadata value, which the API accepts in any type."""
    if isinstance(value, str):
        return [value] if value.strip() else []
    if isinstance(value, Iterable) and not isinstance(value, Mapping):
        return [item for item in value if isinstance(item, str) and item.strip()]
    return []


def _stemmed(texts: list[str]) -> str:
    # Stem both spellings, so that a question typed without accents yields the same stems.
    joined = " ".join(texts)
    return f"{normalise(joined)} {fold(joined)}".strip()
