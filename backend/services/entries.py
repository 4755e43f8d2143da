"""A search hit read as a pair of words: which side is Bora, which Spanish, and what was asked for."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from adapters.base import Direction, Document, ParsedQuery, SearchHit
from lexical.folding import fold, normalise
from services.planted import plain

WHOLE_PHRASE_SCORE = 0.85
"""From here on the retrieval says that the asked phrase is the entry's own (see ``lexical.ranking``)."""
_MEANING_ONLY_SCORE = 0.3
_TYPO_SCORE = 0.75
"""The whole phrase but for a slip of the pen; one word of several that resembles another says nothing."""
_AS_NEAR = 0.05
_MAX_NEAREST = 5
_ARTICLES = ("el ", "la ", "los ", "las ", "un ", "una ", "unos ", "unas ")
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

    def named_by(self, phrase: str, direction: Direction) -> str:
        """Return the sense that ``phrase`` names, in the entry's spelling, else the whole of that side."""
        side = self.other_side(direction)
        return next((sense for sense in senses(side) if _is_same(sense, phrase)), side)

    def is_example(self) -> bool:
        """Tell whether this is a sentence that shows another entry's use."""
        return self.hit.metadata.get("part") == "example"


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
    missing: str = ""
    """What is said not to be in the dictionary, where that is not the phrase looked up."""


def entry_of(hit: SearchHit) -> Entry | None:
    """Return the pair in a hit, without what is no part of it, or ``None`` where it holds none."""
    lemma, gloss, direction = (hit.metadata.get(key) for key in ("lemma", "gloss", "direction"))
    if not (isinstance(lemma, str) and isinstance(gloss, str) and lemma.strip() and gloss.strip()):
        return None
    lemma, gloss = plain(lemma), plain(gloss)
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
    direction = question.direction or (_direction_asked(entries[0]) if entries else "es_bora")
    if not entries or entry_of(relevant[0]) is None:
        return Basis(question, relevant, (), direction, exact=False)
    if entries[0].hit.score >= WHOLE_PHRASE_SCORE:
        wanted = _of_the_phrase(question, entries, direction)
        return Basis(question, relevant, _distinct(wanted, direction), direction, exact=True)
    each = [_entry_for(term, entries, direction) for term in question.terms]
    found = [entry for entry in each if entry is not None]
    if len(found) > 1 and len(found) == len(each):
        return Basis(question, relevant, _distinct(found, direction), direction, exact=True)
    return Basis(question, relevant, _distinct(_nearest(entries), direction), direction, exact=False)


def example_basis(question: ParsedQuery, hits: Sequence[SearchHit], word: str, seen: str) -> Basis | None:
    """Choose a sentence with ``word`` in it that does not stand in ``seen``, else ``None``."""
    basis = basis_of(question, hits)
    shown, wanted = fold(seen), set(fold(word).split())
    for hit in basis.hits:
        entry = entry_of(hit)
        if entry is None or not entry.is_example() or fold(entry.bora) in shown:
            continue
        said = set(fold(f"{entry.spanish} {entry.bora} {hit.metadata.get('parent_lemma', '')}").split())
        if wanted <= said:
            return replace(basis, wanted=(entry,), exact=True)
    return None


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


def _direction_asked(best: Entry) -> Direction:
    """A bare word asks for the other language than its own."""
    if "lemma" in best.hit.matched_on or "gloss" not in best.hit.matched_on:
        return best.direction
    return "es_bora" if best.direction == "bora_es" else "bora_es"


def _of_the_phrase(question: ParsedQuery, entries: Sequence[Entry], direction: Direction) -> list[Entry]:
    """Return every entry of the asked word: "nuhba" is sun and moon. Homographs but for their accents
    are left out when the question spells one of them.
    """
    whole = [entry for entry in entries if entry.hit.score >= WHOLE_PHRASE_SCORE]
    asked = fold(whole[0].named_by(question.phrase, direction))
    same = [entry for entry in whole if fold(entry.named_by(question.phrase, direction)) == asked]
    typed = f" {normalise(question.original)} "
    spelt = [entry for entry in same if f" {normalise(entry.named_by(question.phrase, direction))} " in typed]
    return spelt or same


def _nearest(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries that come about equally near: which of them was meant, only the learner knows."""
    return [entry for entry in entries if entry.hit.score >= entries[0].hit.score - _AS_NEAR][:_MAX_NEAREST]


def _is_same(sense: str, phrase: str) -> bool:
    folded = fold(sense)
    return folded == phrase or any(phrase == f"{article}{folded}" for article in _ARTICLES)


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
