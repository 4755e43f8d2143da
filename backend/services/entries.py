"""A search hit read as a pair of words: which side is Bora, which Spanish, and what was asked for."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.base import Direction, Document, ParsedQuery, SearchHit
from lexical.folding import fold

WHOLE_PHRASE_SCORE = 0.85
"""From here on the retrieval says that the asked phrase is the entry's own (see ``lexical.ranking``)."""
_MEANING_ONLY_SCORE = 0.3
_TYPO_SCORE = 0.75
"""The whole phrase but for a slip of the pen; one word of several that resembles another says nothing."""
_SENSES = re.compile(r"[,;/|•]|\s\d+[.)]\s")


@dataclass(frozen=True, slots=True)
class Entry:
    """One pair of the dictionary; a side may hold several senses."""

    spanish: str
    bora: str
    direction: Direction
    hit: SearchHit

    def side(self, direction: Direction) -> str:
        """Return the side that is asked for when translating in ``direction``."""
        return self.bora if direction == "es_bora" else self.spanish

    def other_side(self, direction: Direction) -> str:
        """Return the side that the question names."""
        return self.spanish if direction == "es_bora" else self.bora


@dataclass(frozen=True, slots=True)
class Basis:
    """What an answer may rest on.

    ``wanted`` are the entries that answer the question, each of them to be named; ``exact`` tells
    whether they are what was asked for, or only what comes nearest.
    """

    question: ParsedQuery
    hits: tuple[SearchHit, ...]
    wanted: tuple[Entry, ...]
    direction: Direction
    exact: bool


def entry_of(hit: SearchHit) -> Entry | None:
    """Return the pair in a hit, or ``None`` where it holds none."""
    lemma, gloss, direction = (hit.metadata.get(key) for key in ("lemma", "gloss", "direction"))
    if not (isinstance(lemma, str) and isinstance(gloss, str) and lemma.strip() and gloss.strip()):
        return None
    if direction == "es_bora":
        return Entry(lemma, gloss, "es_bora", hit)
    if direction == "bora_es":
        return Entry(gloss, lemma, "bora_es", hit)
    return None


def senses(text: str) -> list[str]:
    """Return the alternatives in one side of an entry, the whole first."""
    parts = [part.strip(" .()") for part in _SENSES.split(text)]
    return list(dict.fromkeys([text.strip(), *(part for part in parts if part)]))


def is_relevant(hit: SearchHit) -> bool:
    """Tell whether a hit has to do with the question.

    Nearness of meaning alone finds something for every word there is, so it never makes a
    dictionary entry relevant; a text may well answer in other words.
    """
    reasons = frozenset(hit.matched_on) - {"vector"}
    if reasons == {"typo"}:
        return hit.score >= _TYPO_SCORE
    if reasons:
        return hit.score >= _MEANING_ONLY_SCORE
    return hit.kind == "text" and hit.score >= _MEANING_ONLY_SCORE


def basis_of(question: ParsedQuery, hits: Sequence[SearchHit]) -> Basis:
    """Choose the entries that an answer must name."""
    relevant = tuple(hit for hit in hits if is_relevant(hit))
    entries = [entry for hit in relevant if (entry := entry_of(hit)) is not None]
    direction = question.direction or (entries[0].direction if entries else "es_bora")
    if not entries or entry_of(relevant[0]) is None:
        return Basis(question, relevant, (), direction, exact=False)
    best = entries[0]
    if best.hit.score >= WHOLE_PHRASE_SCORE:
        asked = fold(best.other_side(direction))
        same = [entry for entry in entries if entry.hit.score >= WHOLE_PHRASE_SCORE]
        # "¿Qué significa nuhba?": sun and moon are two entries of one word.
        wanted = [entry for entry in same if fold(entry.other_side(direction)) == asked]
        return Basis(question, relevant, _distinct(wanted, direction), direction, exact=True)
    each = [_entry_for(term, entries, direction) for term in question.terms]
    found = [entry for entry in each if entry is not None]
    if len(found) > 1 and len(found) == len(each):
        return Basis(question, relevant, _distinct(found, direction), direction, exact=True)
    return Basis(question, relevant, (best,), direction, exact=False)


def as_hit(document: Any) -> SearchHit:
    """Return any of the shapes in which callers hold a retrieved document as a hit."""
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


def _entry_for(term: str, entries: Sequence[Entry], direction: Direction) -> Entry | None:
    for entry in entries:
        if term in (fold(sense) for sense in senses(entry.other_side(direction))):
            return entry
    return None


def _distinct(entries: Sequence[Entry], direction: Direction) -> tuple[Entry, ...]:
    by_answer: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        by_answer.setdefault((fold(entry.other_side(direction)), fold(entry.side(direction))), entry)
    return tuple(by_answer.values())
