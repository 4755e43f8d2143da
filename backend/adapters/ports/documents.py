"""Documents, search hits, and the alphabetical lists of the dictionary."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Direction = Literal["es_bora", "bora_es"]

Language = Literal["es", "boa"]

Role = Literal["answer", "nearest", "other"]


@dataclass(frozen=True, slots=True)
class Document:
    """One retrievable entry. ``metadata`` of a dictionary document holds ``lemma``, ``gloss``,
    ``pos``, ``direction`` (the lemma's language first) and, for sub-entries and examples,
    ``parent_lemma``.
    """

    id: str
    kind: Literal["dictionary", "phrase", "text"]
    content: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A matching document, its score (higher is better) and what it matched on, strongest first."""

    id: str
    kind: str
    content: str
    score: float
    matched_on: tuple[str, ...]
    metadata: Mapping[str, Any]
    spans: tuple[tuple[int, int], ...] = ()
    """Start and end of the sentences that support an answer, in characters of the content; of texts only."""
    role: Role = "other"
    """answer: the answer rests on it; nearest: a close entry where none matches; other: the rest."""


ListPosition = tuple[str, str, str]
"""Place, word and document id: the order of a list of words."""


@dataclass(frozen=True, slots=True)
class ListedWord:
    """A word of the alphabetical list of a language, its meaning in the other one, and the entry that has both."""

    id: str
    place: str
    word: str
    meaning: str
    pos: str


@dataclass(frozen=True, slots=True)
class ListedWords:
    """One page of a list of words, in order."""

    words: list[ListedWord]
    counts: Mapping[str, int]
    """Words in the whole list, by the first character of their places."""
