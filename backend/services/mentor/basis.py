"""The choice of the entries that answer a question, as a whole or word by word."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from adapters.ports.documents import Direction, Role, SearchHit
from adapters.ports.search import ParsedQuery
from services.mentor.answer_words import as_typed
from services.mentor.entries import Entry, entries_of
from services.mentor.lexicon.asked import MAX_WINDOW_WORDS
from services.mentor.lexicon.fields import phrase_keys
from services.mentor.lexicon.folding import fold, normalise
from services.mentor.lexicon.forms import dictionary_forms, one_typo_apart
from services.mentor.questions.parser import items

_WHOLE_PHRASE_SCORE = 0.85
"""Lowest score of an entry that matches the asked phrase exactly (``lexicon.ranking``)."""
_LEAST_SCORE = 0.3
_TYPO_SCORE = 0.75
"""Match of the whole phrase with one typo; a typo match of one word among several is not enough."""
_AS_NEAR = 0.05
_MAX_NEAREST = 5


@dataclass(frozen=True, slots=True)
class Basis:
    """Basis of an answer.

    ``wanted`` are the entries that the answer must name; ``exact`` is whether they match the question, or each a word
    of it, instead of being only the nearest matches. ``missing`` are the words that the answer reports as not in the
    dictionary; without any, and without an exact match, it reports the phrase.
    """

    question: ParsedQuery
    hits: tuple[SearchHit, ...]
    wanted: tuple[Entry, ...]
    direction: Direction
    exact: bool
    missing: tuple[str, ...] = ()
    fixed: str = ""
    """The answer, where it is more than its entries: small talk, a verdict on a claim."""

    def with_sources(self, limit: int) -> "Basis":
        """Return the basis with the hits of its entries first, in their role, and others up to ``limit``."""
        own = {entry.hit.id for entry in self.wanted}
        role: Role = "answer" if self.exact else "nearest"
        first = [replace(hit, role=role) for hit in self.hits if hit.id in own]
        others = [hit for hit in self.hits if hit.id not in own]
        return replace(self, hits=tuple([*first, *others][: max(limit, len(first))]))

    @property
    def is_fixed(self) -> bool:
        """Whether the answer says more than its entries, which a model would leave out."""
        return bool(self.fixed or (self.exact and (self.missing or self.question.left_out)))


def is_whole_phrase(hit: SearchHit) -> bool:
    """Return whether the whole asked phrase is the hit's lemma, a variant or a sense."""
    return hit.score >= _WHOLE_PHRASE_SCORE


def is_relevant(hit: SearchHit) -> bool:
    """Return whether a hit is relevant to the question.

    Vector similarity alone never makes an entry relevant, since it finds some entry for any word.
    """
    reasons = frozenset(hit.matched_on) - {"vector"}
    if reasons == {"typo"}:
        return hit.score >= _TYPO_SCORE
    return bool(reasons) and hit.score >= _LEAST_SCORE


def is_answered(question: ParsedQuery, hits: Sequence[SearchHit]) -> bool:
    """Return whether entries answer the whole question, if need be with one typo, so that a search by meaning would add
    nothing.
    """
    if not hits:
        return False
    if hits[0].score >= _TYPO_SCORE or len(question.terms) == 1:
        return hits[0].score >= _TYPO_SCORE
    basis = basis_of(question, hits)
    return basis.exact and not basis.missing


def basis_of(question: ParsedQuery, hits: Sequence[SearchHit]) -> Basis:
    """Select the entries that an answer must name: of the whole phrase, else of each of its words, else the nearest.

    Whether a word is answered does not depend on how many others the question holds.
    """
    relevant = tuple(hit for hit in hits if is_relevant(hit))
    whole = [entry for entry in entries_of(relevant) if is_whole_phrase(entry.hit)]
    if whole and relevant[0] == whole[0].hit:
        direction = question.direction or _direction_asked(whole[0])
        return basis_with(question, relevant, _of_the_phrase(question, whole, direction), exact=True)
    found = cover(question, entries_of(hits))
    if found.entries:
        each = found.parts > 1 or len(items(question.original, question.phrase)) > 1
        missing = tuple(as_typed(question.original, word) for word in found.missing) if each else ()
        return basis_with(question, relevant, found.entries, exact=each, missing=missing)
    entries = entries_of(relevant)
    if not entries:
        return Basis(question, relevant, (), question.direction or "es_bora", exact=False)
    direction = question.direction or _direction_asked(entries[0])
    nearest = [entry.answering(question.phrase, direction) for entry in _nearest(entries)]
    return basis_with(question, relevant, nearest, exact=False)


def example_basis(question: ParsedQuery, hits: Sequence[SearchHit], word: str, seen: str) -> Basis | None:
    """Select an example sentence that contains ``word`` and does not occur in ``seen``; ``None`` if there is none."""
    relevant = [hit for hit in hits if is_relevant(hit)]
    shown, wanted = fold(seen), set(fold(word).split())
    for entry in entries_of(relevant):
        if not entry.is_example() or fold(entry.bora) in shown:
            continue
        said = set(fold(f"{entry.spanish} {entry.bora} {entry.hit.metadata.get('parent_lemma', '')}").split())
        if wanted <= said:
            example = entry.answering(question.phrase, question.direction or "es_bora")
            return basis_with(question, relevant, [example], exact=True)
    return None


def basis_with(
    question: ParsedQuery,
    hits: Sequence[SearchHit],
    wanted: Sequence[Entry],
    *,
    exact: bool,
    missing: tuple[str, ...] = (),
) -> Basis:
    """Return a basis that names each of the ``wanted`` entries once, with its hit among ``hits``."""
    distinct = {(entry.to, fold(entry.word), fold(entry.target)): entry for entry in reversed(wanted)}
    entries = tuple(reversed(distinct.values()))
    # An entry of one word among many may score too low to be relevant by itself.
    known = {hit.id for hit in hits}
    every = (*hits, *(entry.hit for entry in entries if entry.hit.id not in known))
    return Basis(question, tuple(every), entries, entries[0].to, exact, missing)


def _direction_asked(best: Entry) -> Direction:
    """Return the direction asked for; a bare word asks for the other language."""
    if "lemma" in best.hit.matched_on or "gloss" not in best.hit.matched_on:
        return best.direction
    return "es_bora" if best.direction == "bora_es" else "bora_es"


def _of_the_phrase(question: ParsedQuery, entries: Sequence[Entry], direction: Direction) -> list[Entry]:
    """Return every entry of the asked word ("nuhba" is both sun and moon). If the question's accents match
    some of the entries, those that differ in accents are excluded.
    """
    whole = [entry.answering(question.phrase, direction) for entry in entries]
    same = [entry for entry in whole if fold(entry.word) == fold(whole[0].word)]
    typed = f" {normalise(question.original)} "
    return [entry for entry in same if f" {normalise(entry.word)} " in typed] or same


def _nearest(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries of about equal score; which of them the learner meant cannot be decided."""
    return [entry for entry in entries if entry.hit.score >= entries[0].hit.score - _AS_NEAR][:_MAX_NEAREST]


_Index = dict[str, list[tuple[Entry, Direction]]]


@dataclass(frozen=True, slots=True)
class Cover:
    """The entries of the parts of a phrase, in its order."""

    entries: tuple[Entry, ...]
    parts: int
    """How many different parts have entries."""
    missing: tuple[str, ...]
    """Words without an entry of their own."""


def cover(question: ParsedQuery, entries: Sequence[Entry]) -> Cover:
    """Return the entries of each part of the phrase, the longest parts first.

    A word is matched by itself, else in another form. A typing error is assumed only where every other word is
    matched, since in a sentence some entry is near any word.
    """
    index = _indexed(question, entries)
    words, terms = question.phrase.split(), frozenset(question.terms)
    matched: dict[str, list[Entry]] = {}
    unmatched: dict[str, list[Entry]] = {}
    start = 0
    while start < len(words):
        sizes = range(min(MAX_WINDOW_WORDS, len(words) - start), 0, -1)
        windows = (words[start : start + size] for size in sizes)
        part = next((part for part in windows if " ".join(part) in index and terms & set(part)), [words[start]])
        start += len(part)
        phrase = " ".join(part)
        if terms.isdisjoint(part):
            continue
        if found := _of_part(question, phrase, index):
            matched[phrase] = found
        else:
            unmatched[phrase] = _typos(question, phrase, index)
    if matched and all(unmatched.values()):
        matched |= unmatched
        unmatched = {}
    return Cover(tuple(entry for found in matched.values() for entry in found), len(matched), tuple(unmatched))


def _indexed(question: ParsedQuery, entries: Sequence[Entry]) -> _Index:
    index: _Index = defaultdict(list)
    directions: tuple[Direction, ...] = (question.direction,) if question.direction else ("es_bora", "bora_es")
    for entry in entries:
        if entry.is_example():
            continue
        for to in directions:
            for key in phrase_keys(entry.answering("", to).names()):
                index[key].append((entry, to))
    return index


def _of_part(question: ParsedQuery, part: str, index: _Index) -> list[Entry]:
    """Return the entries of a part. If its accents match some of them, others are excluded."""
    same = [entry.answering(part, to) for entry, to in index.get(part, ())]
    typed = as_typed(question.original, part)
    spelt = [entry for entry in same if normalise(entry.word) == normalise(typed)]
    # "como" is spelt neither as "cómo" nor as "comer".
    return spelt or [
        *same,
        *(
            entry.answering(form, to, typed)
            for form in (dictionary_forms(part) if " " not in part else ())
            for entry, to in index.get(form, ())
            if to == "es_bora"
        ),
    ]


def _typos(question: ParsedQuery, word: str, index: _Index) -> list[Entry]:
    typed = as_typed(question.original, word)
    near = [pair for key, pairs in index.items() if one_typo_apart(word, key) for pair in pairs]
    return [entry.answering(word, to, typed) for entry, to in near]
