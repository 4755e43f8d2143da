"""Relevance of passages to a question: the share of its words that they hold, and their similarity.

The weights are those of a logistic regression on one half of the questions in ``bench/data/passages``.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from adapters.ports.documents import SearchHit
from adapters.ports.search import FoundTexts, TextCandidate
from services.passages.languages import Language, recognised
from services.passages.question import TextQuestion
from services.passages.sentences import Sentence, sentences
from services.passages.words import Word, stems, words

_BIAS, _INSIDE, _TOGETHER, _SIMILAR, _SENTENCE_SIMILAR = -8.5, 4.16, 5.81, 1.93, 4.84
_UNKNOWN_SIMILARITY: Final = 0.5
"""Assumed of a passage without a vector."""
_SENTENCES: Final = 2
"""Sentences in a row whose words count together."""
_MAX_COMPARED: Final = 48
_READ_CHARS: Final = 8_000
"""Characters of a text that are read; longer texts would occupy the event loop."""
_EXACT: Final = 2.0
"""Weight of a term with a digit, such as a code, against that of a word of the same rarity."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage found for a question."""

    hit: SearchHit
    """``score`` is the relevance, 0 to 1."""
    language: Language | None
    heading: str
    sentences: tuple[Sentence, ...]
    """Without planted instructions."""
    vocabulary: frozenset[str]
    """Stems of its words and of its heading's."""
    inside: float
    """Share of the question's terms that it contains."""
    together: float
    """Highest share that its heading and a few sentences in a row contain."""
    similarity: float | None
    """Cosine similarity of the passage to the question; ``None``: unknown."""
    similarities: tuple[float, ...] = ()
    """Cosine similarities of its sentences; empty: unknown."""

    def stems(self, found: Iterable[Word]) -> frozenset[str]:
        """Return the stems of words in the passage's language."""
        return _stems(found, self.language)

    @property
    def spoken(self) -> list[str]:
        """The sentences under the last heading, as they are compared with the question."""
        title = self.heading.rpartition(" › ")[2]
        return [f"{title}: {sentence.text}" if title else sentence.text for sentence in self.sentences]


def rank(question: TextQuestion, found: FoundTexts, top_k: int) -> list[Passage]:
    """Return the ``top_k`` most relevant passages, best first."""
    weights = term_weights(question, found)
    judged = [_judged(question, weights, candidate) for candidate in found.candidates]
    return _sorted([passage for passage in judged if passage.sentences])[:top_k]


def compared(ranked: Sequence[Passage]) -> list[Passage]:
    """Return the first passages, whose sentences are worth comparing with the question."""
    chosen: list[Passage] = []
    room = _MAX_COMPARED
    for passage in ranked:
        room -= len(passage.sentences)
        if room < 0:
            break
        chosen.append(passage)
    return chosen


def reranked(ranked: Sequence[Passage], similarities: Sequence[Sequence[float]]) -> list[Passage]:
    """Return the passages, best first, with the similarities of the first ones' sentences."""
    known = [replace(passage, similarities=tuple(near)) for passage, near in zip(ranked, similarities, strict=False)]
    return _sorted([*known, *ranked[len(known) :]])


def by_meaning_only(ranked: Sequence[Passage], limit: int) -> list[Passage]:
    """Return the first passages that hold no word of the question: their order rests on vectors alone."""
    return [passage for passage in ranked if "words" not in passage.hit.matched_on][:limit]


def in_order(ranked: Sequence[Passage], some: Sequence[Passage], scores: Sequence[float]) -> list[Passage]:
    """Return ``ranked`` with ``some`` of them reordered by ``scores``, highest first.

    These exchange their relevances too, so that the number of passages above the threshold does not change.
    """
    better = [passage for _, passage in sorted(zip(scores, some, strict=True), key=lambda pair: -pair[0])]
    taken = {
        old.hit.id: replace(new, hit=replace(new.hit, score=old.hit.score))
        for old, new in zip(some, better, strict=True)
    }
    return [taken.get(passage.hit.id, passage) for passage in ranked]


def term_weights(question: TextQuestion, found: FoundTexts) -> tuple[float, ...]:
    """Return the weight of each term of the question: the rarer it is in all texts, the higher (as in BM25)."""
    total = max(found.total, 1)
    return tuple(
        math.log(1 + (total - count + 0.5) / (count + 0.5)) * (_EXACT if term.is_number else 1.0)
        for term, count in zip(question.terms, found.term_counts, strict=True)
    )


def share(weights: Sequence[float], terms: Sequence[frozenset[str]], have: frozenset[str]) -> float:
    """Return the weighted share of ``terms``, each given by its stems, that ``have`` holds, 0 to 1."""
    total = sum(weights)
    return sum(weight for weight, term in zip(weights, terms, strict=True) if term & have) / total if total else 0.0


def _judged(question: TextQuestion, weights: Sequence[float], candidate: TextCandidate) -> Passage:
    heading = str(candidate.metadata.get("heading") or "")
    language = recognised(candidate.content[:_READ_CHARS]) or question.language
    said = tuple(sentences(candidate.content[:_READ_CHARS], heading))
    terms = [_stems([term], language) for term in question.terms]
    head = _stems(words(heading), language)
    each = [_stems(sentence.words, language) for sentence in said]
    own = head.union(*each)
    together = max(
        (share(weights, terms, head.union(*each[at : at + _SENTENCES])) for at in range(max(1, len(each) - 1))),
        default=0.0,
    )
    inside = share(weights, terms, own)
    reasons = [*(["words"] if inside else []), *(["vector"] if candidate.similarity is not None else [])]
    hit = SearchHit(candidate.id, "text", candidate.content, 0.0, tuple(reasons), candidate.metadata)
    return Passage(hit, language, heading, said, own, inside, together, candidate.similarity)


def _sorted(passages: Iterable[Passage]) -> list[Passage]:
    scored = [replace(passage, hit=replace(passage.hit, score=_score(passage))) for passage in passages]
    return sorted(scored, key=lambda passage: (-passage.hit.score, passage.hit.id))


def similarity_of(passage: Passage) -> float:
    """Return the passage's similarity to the question, or the value assumed for one without a vector."""
    return _UNKNOWN_SIMILARITY if passage.similarity is None else max(passage.similarity, 0.0)


def _score(passage: Passage) -> float:
    similar = similarity_of(passage)
    # Without vectors of its sentences a passage is assumed to have one as similar as itself.
    sentence = max(passage.similarities, default=similar)
    evidence = (
        _BIAS
        + _INSIDE * passage.inside
        + _TOGETHER * passage.together
        + _SIMILAR * similar
        + _SENTENCE_SIMILAR * sentence
    )
    return round(1 / (1 + math.exp(-evidence)), 4)


def _stems(found: Iterable[Word], language: Language | None) -> frozenset[str]:
    stemmer = language.stemmer if language else ""
    return frozenset(stem for word in found for stem in stems(word.text, stemmer))
