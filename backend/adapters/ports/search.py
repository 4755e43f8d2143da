"""Records of a search: the question, what is looked up, what is found; and the index that ranks it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from adapters.ports.documents import Direction, Document, Language, SearchHit


@dataclass(frozen=True, slots=True)
class ParsedQuery:
    """A question reduced to its search terms.

    ``phrase`` is the folded term or terms without question frame ("perro" from "¿Cómo se dice
    perro en bora?"), ``terms`` its words, ``direction`` the direction asked for, where known.
    """

    original: str
    phrase: str
    terms: tuple[str, ...]
    direction: Direction | None = None
    left_out: tuple[str, ...] = ()
    """Words that are not looked up, because there are more than a search takes."""


@dataclass(frozen=True, slots=True)
class HeadWord:
    """A word under which an entry stands in the alphabetical list of a language."""

    language: Language
    place: str
    """Compares by bytes as the language sorts."""
    word: str
    folded: str
    own: bool
    """The word is the entry's lemma; else one of its meanings, with the entry read the other way round."""


@dataclass(frozen=True, slots=True)
class IndexFields:
    """The searchable side of one document; every text is folded except the ``stems``."""

    direction: str | None = None
    lemma_keys: list[str] = field(default_factory=list)
    gloss_keys: list[str] = field(default_factory=list)
    near_keys: list[int] = field(default_factory=list)
    text_a: str = ""
    text_b: str = ""
    text_c: str = ""
    stem_a: str = ""
    stem_b: str = ""
    stem_c: str = ""
    passage_text: str = ""
    """Searchable words of a text, whose other fields are empty."""
    head_words: list[HeadWord] = field(default_factory=list)


class Lookup(NamedTuple):
    """Keys and words by which a store finds the candidates for one question.

    ``whole`` and ``parts`` are compared with a document's whole-phrase keys, ``near`` and ``near_terms`` with its
    near keys; ``terms`` are full-text terms, folded, and ``accented`` the same terms as typed.
    """

    whole: list[str]
    parts: list[str]
    near: list[int]
    near_terms: list[int]
    terms: list[str]
    accented: list[str]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A document found by any part of the search, with the fields that ranking reads."""

    id: str
    kind: str
    content: str
    metadata: Mapping[str, Any]
    direction: str | None
    lemma_keys: list[str]
    gloss_keys: list[str]
    text_a: str
    text_b: str
    text_c: str
    term_fields: list[str]
    """For each query term, the best field that contains it: a, b, c or an empty string."""
    term_counts: list[int]
    """For each query term, the number of documents that contain it."""


class Evidence(NamedTuple):
    """A match of a candidate: its score, and what it is on."""

    score: float
    matched_on: str


class Weighed(NamedTuple):
    """A candidate and what its words are worth, the best match first."""

    candidate: Candidate
    evidence: list[Evidence]


@dataclass(frozen=True, slots=True)
class FoundEntries:
    """Result of the search by words; ``hits`` are the best of ``weighed``."""

    query: ParsedQuery
    lookup: Lookup
    weighed: list[Weighed]
    hits: list[SearchHit]


class TextTerm(NamedTuple):
    """A word of a question to texts, as typed and folded."""

    typed: str
    folded: str


@dataclass(frozen=True, slots=True)
class TextCandidate:
    """A text found by words or by vector."""

    id: str
    content: str
    metadata: Mapping[str, Any]
    similarity: float | None
    """Cosine similarity to the question; ``None`` unless both vectors have the same fingerprint."""


@dataclass(frozen=True, slots=True)
class FoundTexts:
    """Texts found for a question, in no order; for each of its terms, the number of texts that contain it."""

    candidates: list[TextCandidate]
    term_counts: list[int]
    total: int
    """Texts in the store."""


class TextIndex(Protocol):
    """Language-specific part of search: index keys of documents, lookup keys of questions, and ranking.

    ``version`` is part of every stored content hash.
    """

    version: int

    def fields(self, document: Document) -> IndexFields:
        """Return the searchable fields of ``document``."""

    def lookup(self, query: "ParsedQuery") -> Lookup:
        """Return the lookup keys of one question."""

    def weigh(self, query: "ParsedQuery", candidates: Sequence[Candidate], total: int) -> list[Weighed]:
        """Return the candidates with what their words are worth; ``total`` is the number of documents in the store."""

    def rank(self, weighed: Sequence[Weighed], similarities: Mapping[str, float], top_k: int) -> list["SearchHit"]:
        """Return the best ``top_k``; ``similarities`` are cosines to the question's vector, by document id."""
