"""The words of a question, each with the entries that answer it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from adapters.base import Direction, ParsedQuery
from services.mentor.answer_words import as_typed
from services.mentor.entries import Entry
from services.mentor.lexicon.asked import MAX_WINDOW_WORDS
from services.mentor.lexicon.fields import phrase_keys
from services.mentor.lexicon.folding import normalise
from services.mentor.lexicon.inflections import dictionary_forms
from services.mentor.lexicon.typos import one_typo_apart

Match = Literal["exact", "form", "typo"]
_Index = dict[str, list[tuple[Entry, Direction]]]


@dataclass(frozen=True, slots=True)
class Cover:
    """The entries of the parts of a phrase, in its order.

    ``matched`` are the parts with entries, folded, and how they were matched; ``missing`` are words without an entry
    of their own.
    """

    entries: tuple[Entry, ...]
    matched: Mapping[str, Match]
    missing: tuple[str, ...]


def cover(question: ParsedQuery, entries: Sequence[Entry]) -> Cover:
    """Return the entries of each part of the phrase, the longest parts first.

    A word is matched by itself, else in another form. A typing error is assumed only where every other word is
    matched, since in a sentence some entry is near any word.
    """
    index = _indexed(question, entries)
    words, telling = question.phrase.split(), frozenset(question.terms)
    matched: dict[str, Match] = {}
    found: list[Entry] = []
    unmatched: list[str] = []
    start = 0
    while start < len(words):
        size = next(
            (
                size
                for size in range(min(MAX_WINDOW_WORDS, len(words) - start), 0, -1)
                if " ".join(words[start : start + size]) in index and telling & set(words[start : start + size])
            ),
            0,
        )
        part = " ".join(words[start : start + max(size, 1)])
        if size or part in telling:
            match, of_part = _of_part(question, part, index)
            if match is None:
                unmatched.append(part)
            else:
                matched[part] = match
                found += of_part
        start += max(size, 1)
    typos = {word: _typos(question, word, index) for word in dict.fromkeys(unmatched)}
    if found and all(typos.values()):
        matched |= dict.fromkeys(typos, "typo")
        found += [entry for near in typos.values() for entry in near]
    return Cover(tuple(found), matched, tuple(typos))


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


def _of_part(question: ParsedQuery, part: str, index: _Index) -> tuple[Match | None, list[Entry]]:
    """Return how a part is matched, and the entries. If its accents match some entries, others are excluded."""
    same = [entry.answering(part, to) for entry, to in index.get(part, ())]
    typed = as_typed(question.original, part)
    spelt = [entry for entry in same if normalise(entry.word) == normalise(typed)]
    if spelt:
        return "exact", spelt
    # "como" is spelt neither as "cómo" nor as "comer".
    forms = [
        entry.answering(form, to, typed)
        for form in (dictionary_forms(part) if " " not in part else ())
        for entry, to in index.get(form, ())
        if to == "es_bora"
    ]
    if same:
        return "exact", [*same, *forms]
    return ("form", forms) if forms else (None, [])


def _typos(question: ParsedQuery, word: str, index: _Index) -> list[Entry]:
    typed = as_typed(question.original, word)
    near = [pair for key, pairs in index.items() if one_typo_apart(word, key) for pair in pairs]
    return [entry.answering(word, to, typed) for entry, to in near]
