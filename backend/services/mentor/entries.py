"""Search hits as Bora-Spanish pairs."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from adapters.ports.documents import Direction, Document, SearchHit
from services.mentor.lexicon.fields import texts_of
from services.mentor.lexicon.folding import fold
from services.planted import plain

_ARTICLES = ("el ", "la ", "los ", "las ", "un ", "una ", "unos ", "unas ")
_SENSES = re.compile(r"[,;/|•]|\s\d+[.)]\s")


@dataclass(frozen=True, slots=True)
class Entry:
    """A Bora-Spanish pair; each side may contain several senses.

    ``to`` is the direction in which it answers, ``word`` the asked word in the entry's spelling, and ``form`` the word
    as typed where that is another form of it.
    """

    spanish: str
    bora: str
    direction: Direction
    hit: SearchHit
    to: Direction
    word: str = ""
    form: str = ""

    @property
    def target(self) -> str:
        """The side that answers."""
        return self.bora if self.to == "es_bora" else self.spanish

    @property
    def source(self) -> str:
        """The side asked about."""
        return self.spanish if self.to == "es_bora" else self.bora

    def answering(self, phrase: str, to: Direction, form: str = "") -> "Entry":
        """Return the entry as an answer to ``phrase``; ``word`` is the sense or variant that equals it, if any."""
        entry = replace(self, to=to, form=form)
        word = next((name for name in entry.names() if _is_same(name, phrase)), entry.source)
        return replace(entry, word=word)

    def names(self) -> list[str]:
        """Return the senses of the side asked about and, if that is the lemma, its variants."""
        variants = texts_of(self.hit.metadata.get("variants")) if self.to == self.direction else []
        return [*senses(self.source), *map(plain, variants)]

    def is_example(self) -> bool:
        """Whether this is an example sentence of another entry."""
        return self.hit.metadata.get("part") == "example"


def entry_of(hit: SearchHit) -> Entry | None:
    """Return the Bora-Spanish pair of a hit, or ``None`` if it has none."""
    lemma, gloss, direction = (hit.metadata.get(key) for key in ("lemma", "gloss", "direction"))
    if not (isinstance(lemma, str) and isinstance(gloss, str) and lemma.strip() and gloss.strip()):
        return None
    lemma, gloss = plain(lemma), plain(gloss)
    if direction == "es_bora":
        return Entry(lemma, gloss, "es_bora", hit, to="es_bora")
    if direction == "bora_es":
        return Entry(gloss, lemma, "bora_es", hit, to="bora_es")
    return None


def entries_of(hits: Iterable[SearchHit]) -> list[Entry]:
    """Return the Bora-Spanish pairs of hits."""
    return [entry for hit in hits if (entry := entry_of(hit)) is not None]


def senses(text: str) -> list[str]:
    """Return the alternatives in one side of an entry, starting with the whole side."""
    parts = [part.strip(" .()") for part in _SENSES.split(text)]
    return list(dict.fromkeys([text.strip(), *(part for part in parts if part)]))


def as_hit(document: Any) -> SearchHit:
    """Convert a hit, document, mapping or plain text to a hit."""
    if isinstance(document, SearchHit):
        return document
    if isinstance(document, Document):
        return SearchHit(document.id, document.kind, document.content, 1.0, ("given",), document.metadata)
    if isinstance(document, Mapping):
        metadata = document.get("metadata")
        return SearchHit(
            str(document.get("id", "")),
            str(document.get("kind", "text")),
            str(document.get("content", "")),
            float(document.get("score", document.get("similarity", 1.0))),
            tuple(document.get("matched_on", ("given",))),
            metadata if isinstance(metadata, Mapping) else {},
        )
    return SearchHit("", "text", str(document), 1.0, ("given",), {})


def _is_same(sense: str, phrase: str) -> bool:
    folded = fold(sense)
    return folded == phrase or any(phrase == f"{article}{folded}" for article in _ARTICLES)
